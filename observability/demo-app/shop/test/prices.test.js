import assert from 'node:assert/strict';
import { test } from 'node:test';
import { priceOf } from '../src/prices.js';

test('gives more off for more pieces', () => {
  const discounts = [1, 9, 10, 49, 50].map((quantity) => priceOf({ item: 'mug', quantity }).discount);
  assert.deepEqual(discounts, [0, 0, 5, 5, 10]);
});

test('rounds in favour of the customer', () => {
  assert.deepEqual(priceOf({ item: 'filter', quantity: 11 }), { discount: 5, cents: 4075 });
});
