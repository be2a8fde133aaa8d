import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openShop } from './shop.js';

test('counts and times requests by route', async (t) => {
  const { send } = await openShop(t);
  await send('POST', '/orders', { customer: 'ada', item: 'mug', quantity: 1 });
  await send('GET', '/orders/o-1');
  await send('GET', '/orders/o-2');
  await send('GET', '/somewhere');
  const { body } = await send('GET', '/metrics');
  for (const line of [
    'http_requests_total{route="/orders",method="POST",status="201"} 1',
    'http_requests_total{route="/orders/:id",method="GET",status="404"} 1',
    'http_requests_total{route="unknown",method="GET",status="404"} 1',
    'http_request_duration_seconds_bucket{route="/orders/:id",method="GET",le="+Inf"} 2',
    'http_request_duration_seconds_count{route="/orders",method="POST"} 1',
    'orders_total 1',
    'orders_in_memory 1',
  ])
    assert.ok(body.split('\n').includes(line), line);
  assert.match(body, /^process_resident_memory_bytes \d{7,}$/m);
  assert.match(body, /^process_cpu_seconds_total \d/m);
  assert.match(body, /^nodejs_eventloop_lag_seconds \d/m);
});
