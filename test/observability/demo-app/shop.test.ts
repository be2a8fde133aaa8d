import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prometheusPrograms } from '../../support/prometheus-programs.ts';
import { type ShopProcess, startShop } from './start-shop.ts';

let shop: ShopProcess;
beforeEach(async () => {
  shop = await startShop();
});
afterEach(() => shop[Symbol.asyncDispose]());

const order = { customer: 'ada', item: 'mug', quantity: 2 };

describe('each chaos switch moves its metric, and reset moves it back', () => {
  const answersSlowerThan = async (seconds: string): Promise<number> =>
    (await shop.read('http_request_duration_seconds_count', 'method="GET"')) -
    (await shop.read('http_request_duration_seconds_bucket', 'method="GET"', `le="${seconds}"`));

  it('latency', async () => {
    expect((await shop.send('POST', '/chaos/latency', { ms: 300 })).status).toBe(200);
    await shop.send('GET', '/orders?customer=ada');
    expect(await answersSlowerThan('0.25')).toBe(1);
    await shop.send('POST', '/chaos/reset');
    await shop.send('GET', '/orders?customer=ada');
    expect(await shop.read('http_request_duration_seconds_count', 'route="/orders"', 'method="GET"')).toBe(2);
  });

  it('errors', async () => {
    await shop.send('POST', '/chaos/errors', { share: 1 });
    expect((await shop.send('POST', '/orders', order)).status).toBe(500);
    expect(await shop.read('http_requests_total', 'status="500"')).toBe(1);
    await shop.send('POST', '/chaos/reset');
    expect((await shop.send('POST', '/orders', order)).status).toBe(201);
    expect(await shop.read('http_requests_total', 'status="500"')).toBe(1);
  });

  it('leak', async () => {
    const memory = () => shop.read('process_resident_memory_bytes');
    const before = await memory();
    await shop.send('POST', '/chaos/leak', { mbPerSecond: 50, maxMb: 60 });
    await expect.poll(memory).toBeGreaterThan(before + 40 * 2 ** 20);
    expect(await memory()).toBeLessThan(before + 120 * 2 ** 20);
    expect((await shop.send('POST', '/chaos/reset')).text).toBe('{}');
  });

  it('cpu', async () => {
    await shop.send('POST', '/chaos/cpu', { share: 0.9 });
    // It blocks the event loop for 90 of each 100 ms.
    await expect.poll(() => shop.read('nodejs_eventloop_lag_seconds')).toBeGreaterThan(0.05);
    const busy = await shop.read('process_cpu_seconds_total');
    await expect.poll(() => shop.read('process_cpu_seconds_total')).toBeGreaterThan(busy + 0.5);
    expect((await shop.send('POST', '/chaos/reset')).text).toBe('{}');
  });
});

it('has metrics that promtool finds well-formed and well-named', async () => {
  await shop.send('POST', '/orders', order);
  await shop.send('GET', '/orders/"quoted\\"');
  const { promtool } = await prometheusPrograms(console.error);
  const { text: metrics } = await shop.send('GET', '/metrics');
  const child = spawn(promtool, ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(metrics);
  const [code, said] = await Promise.all([
    new Promise((resolve, reject) => child.on('error', reject).on('close', resolve)),
    text(child.stderr),
  ]);
  expect({ code, said }).toEqual({ code: 0, said: '' });
});

it('lets running requests end on SIGTERM', async () => {
  await shop.send('POST', '/chaos/latency', { ms: 1000 });
  const running = shop.send('GET', '/orders?customer=ada');
  // It is in the shop when the next one is answered.
  await shop.send('GET', '/health');
  const ended = shop.terminate();
  expect((await running).status).toBe(200);
  expect(await ended).toBe(0);
});
