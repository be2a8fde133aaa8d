import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createTraffic, dayShape } from '#observability/demo-app/traffic.ts';
import { startShop } from './start-shop.ts';

const listen = async (listener: RequestListener): Promise<AsyncDisposable & { url: string }> => {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

describe('traffic', () => {
  it('is all well with a shop that is', async () => {
    await using shop = await startShop();
    await using traffic = createTraffic({ baseUrl: shop.url, rate: 200 });
    await expect.poll(() => traffic.counts().ok).toBeGreaterThan(200);
    const counts = await traffic.stop();
    expect(counts).toMatchObject({ failed: 0, unanswered: 0 });
    expect(counts.ok).toBe(counts.sent);
    expect(await shop.read('http_requests_total')).toBe(counts.sent);
    for (const series of [
      ['route="/orders"', 'method="POST"', 'status="201"'],
      ['route="/orders"', 'method="GET"', 'status="200"'],
      ['route="/orders/:id"', 'method="GET"', 'status="200"'],
    ])
      expect(await shop.read('http_requests_total', ...series)).toBeGreaterThan(20);
    expect(await shop.read('http_requests_total', 'status="404"')).toBe(0);
  });

  it('asks for the same with the same seed, and with the Host it is told', async () => {
    const asked = async (seed: number): Promise<string[]> => {
      const seen: string[] = [];
      await using server = await listen((request, response) => {
        seen.push(`${request.method} ${request.headers.host} ${request.url}`);
        response.writeHead(503).end();
      });
      await using traffic = createTraffic({
        baseUrl: server.url,
        host: 'shop.localhost',
        rate: 500,
        seed,
        maxInFlight: 1,
      });
      await expect.poll(() => traffic.counts().failed).toBeGreaterThan(20);
      return seen.slice(0, 5);
    };
    const first = await asked(7);
    expect(first[0]).toMatch(/^(GET|POST) shop\.localhost \/orders/);
    expect(await asked(7)).toEqual(first);
    expect(await asked(8)).not.toEqual(first);
  });

  it('counts who gets no answer, and never asks more at once than it may', async () => {
    let open = 0;
    let most = 0;
    await using server = await listen((request) => {
      open += 1;
      most = Math.max(most, open);
      request.socket.once('close', () => {
        open -= 1;
      });
    });
    const traffic = createTraffic({ baseUrl: server.url, rate: 500, maxInFlight: 3 });
    await expect.poll(() => traffic.counts().skipped).toBeGreaterThan(50);
    expect(most).toBe(3);
    await server[Symbol.asyncDispose]();
    const counts = await traffic.stop();
    expect(counts.unanswered).toBe(counts.sent);
    expect(counts.ok + counts.failed).toBe(0);
  });
});

it('has a day that is busiest in the afternoon, dead at four in the morning, and 1 on average', () => {
  const hours = Array.from({ length: 24 }, (_, hour) => dayShape(hour / 24));
  expect(hours.reduce((sum, one) => sum + one, 0) / 24).toBeCloseTo(1);
  expect(hours.indexOf(Math.min(...hours))).toBe(4);
  expect(Math.min(...hours)).toBeGreaterThan(0);
  expect(dayShape(15 / 24)).toBeGreaterThan(1.3);
  expect(dayShape(1.25)).toBeCloseTo(dayShape(0.25));
});
