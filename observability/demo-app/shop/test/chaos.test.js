import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openShop } from './shop.js';

test('is not there unless asked for', async (t) => {
  const { send } = await openShop(t);
  assert.equal((await send('POST', '/chaos/errors')).status, 404);
});

test('fails the share of requests it is told, says where, and stops', async (t) => {
  const { send, lines } = await openShop(t, { withChaos: true });
  assert.deepEqual((await send('POST', '/chaos/errors', { share: 1 })).body, { errors: { share: 1 } });
  assert.equal((await send('GET', '/orders?customer=ada')).status, 500);
  assert.equal((await send('GET', '/health')).status, 200);
  const error = lines.find(({ level }) => level === 'error');
  assert.equal(error.msg, 'Chaos chose this request to fail');
  assert.match(error.at, /^src\/chaos\.js:\d+$/);
  assert.deepEqual((await send('POST', '/chaos/reset')).body, {});
  assert.equal((await send('GET', '/orders?customer=ada')).status, 200);
});

test('delays requests', async (t) => {
  const { send, lines } = await openShop(t, { withChaos: true });
  await send('POST', '/chaos/latency', { ms: 60 });
  await send('GET', '/orders?customer=ada');
  assert.ok(lines.at(-1).ms >= 59);
});

test('takes only what it knows, within bounds', async (t) => {
  const { send } = await openShop(t, { withChaos: true });
  assert.equal((await send('POST', '/chaos/fire')).status, 404);
  assert.equal((await send('POST', '/chaos/errors', { share: 2 })).status, 400);
  assert.equal((await send('POST', '/chaos/latency', { seconds: 2 })).status, 400);
});
