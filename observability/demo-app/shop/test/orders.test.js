import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openShop } from './shop.js';

test('is healthy', async (t) => {
  const { send } = await openShop(t);
  assert.deepEqual(await send('GET', '/health'), { status: 200, body: { status: 'ok' } });
});

test('takes an order and shows it', async (t) => {
  const { send } = await openShop(t);
  const taken = await send('POST', '/orders', { customer: 'ada', item: 'mug', quantity: 2 });
  assert.equal(taken.status, 201);
  assert.equal(taken.body.cents, 2400);
  assert.deepEqual(await send('GET', `/orders/${taken.body.id}`), { status: 200, body: taken.body });
});

test('refuses what is no order', async (t) => {
  const { send } = await openShop(t);
  const good = { customer: 'ada', item: 'mug', quantity: 1 };
  const bad = [{ customer: '' }, { item: 'car' }, { quantity: 0 }, { quantity: 1.5 }, { quantity: 10_001 }];
  for (const body of [...bad.map((part) => ({ ...good, ...part })), null, '{'])
    assert.equal((await send('POST', '/orders', body)).status, 400);
});

test('says what it does not know', async (t) => {
  const { send } = await openShop(t);
  assert.equal((await send('GET', '/orders/o-99')).status, 404);
  assert.equal((await send('GET', '/nothing')).status, 404);
  assert.equal((await send('DELETE', '/orders/o-1')).status, 405);
});

test('logs one line for each request, none for the health check', async (t) => {
  const { send, lines } = await openShop(t);
  await send('GET', '/health');
  await send('POST', '/orders', { customer: 'ada', item: 'mug', quantity: 1 });
  await send('GET', '/orders/o-9');
  assert.deepEqual(
    lines.map(({ level, msg, route, status, order }) => ({ level, msg, route, status, order })),
    [
      { level: 'info', msg: 'POST /orders', route: '/orders', status: 201, order: 'o-1' },
      { level: 'info', msg: 'GET /orders/:id', route: '/orders/:id', status: 404, order: 'o-9' },
    ],
  );
});
