import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOrders } from '../src/orders.js';
import { openShop } from './shop.js';

test('lists the newest orders of a customer, newest first', async (t) => {
  const { send } = await openShop(t);
  for (let quantity = 1; quantity <= 25; quantity += 1)
    await send('POST', '/orders', { customer: quantity === 3 ? 'bob' : 'ada', item: 'filter', quantity });
  const { body } = await send('GET', '/orders?customer=ada');
  assert.equal(body.length, 20);
  assert.deepEqual([body[0].quantity, body[19].quantity], [25, 6]);
  assert.equal((await send('GET', '/orders?customer=bob')).body.length, 1);
  assert.deepEqual(await send('GET', '/orders?customer=eve'), { status: 200, body: [] });
});

test('wants to know whose', async (t) => {
  const { send } = await openShop(t);
  assert.equal((await send('GET', '/orders')).status, 400);
});

test('forgets the oldest', () => {
  const orders = createOrders();
  for (let round = 0; round <= 2000; round += 1)
    orders.take({ customer: round === 0 ? 'old' : 'ada', item: 'mug', quantity: 1 });
  assert.equal(orders.get('o-1'), undefined);
  assert.equal(orders.get('o-2').customer, 'ada');
  assert.deepEqual(orders.of('old'), []);
  assert.equal(orders.size, 2000);
});
