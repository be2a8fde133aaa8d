import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createTraffic } from '#observability/demo-app/traffic.ts';
import { startPrometheus } from '../../support/prometheus.ts';
import { startShop } from '../demo-app/start-shop.ts';

const webhook = z.object({
  version: z.literal('4'),
  alerts: z.array(
    z.object({
      status: z.enum(['firing', 'resolved']),
      labels: z.record(z.string(), z.string()),
      annotations: z.record(z.string(), z.string()),
      fingerprint: z.string(),
      startsAt: z.iso.datetime({ offset: true }),
    }),
  ),
});

const labels = { app: 'shop', project: 'acme/shop', environment: 'production', commit: 'b2f0e78' };

/** What Comio is to Prometheus and Alertmanager. */
const startComio = async (targets: string[]) => {
  const heard: {
    path: string;
    authorization: string | undefined;
    alerts: z.infer<typeof webhook>['alerts'];
  }[] = [];
  const server = createServer(async (request, response) => {
    if (request.url === '/deployments/targets') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify([{ targets, labels }]));
      return;
    }
    if (request.method === 'POST') {
      const { authorization } = request.headers;
      heard.push({
        path: request.url ?? '',
        authorization,
        alerts: webhook.parse(JSON.parse(await text(request))).alerts,
      });
    }
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

it('goes from a fault in the shop to an authenticated webhook, and back', async () => {
  await using shop = await startShop();
  await using comio = await startComio([shop.address]);
  await using stack = await startPrometheus({ comioUrl: comio.url, token: 's3cret', say: console.error });
  await using traffic = createTraffic({ baseUrl: shop.url, rate: 40 });

  const ratio = async () =>
    (await stack.instant('app:http_errors:ratio{app="shop"}')).map(({ value }) => value);
  await expect.poll(ratio).toEqual([0]);
  const apps = (await stack.targets()).filter(({ labels: { job } }) => job === 'apps');
  expect(apps).toEqual([{ labels: expect.objectContaining(labels), health: 'up', lastError: '' }]);
  expect(await stack.alerts()).toEqual([]);
  const healthySince = new Date();

  await shop.send('POST', '/chaos/errors', { share: 0.5 });
  await expect.poll(() => comio.heard.length).toBeGreaterThan(0);
  const [first] = comio.heard;
  expect(first).toMatchObject({ path: '/alerts/alertmanager', authorization: 'Bearer s3cret' });
  const [alert] = first?.alerts ?? [];
  expect(alert).toMatchObject({
    status: 'firing',
    labels: { alertname: 'AppErrors', app: 'shop', project: 'acme/shop', environment: 'production' },
  });
  expect(alert?.annotations.summary).toMatch(/^shop \(production\) fails .*% of its requests$/);
  const active = await stack.alerts();
  expect(active.map(({ fingerprint }) => fingerprint)).toContain(alert?.fingerprint);
  const query = z.string().parse(alert?.annotations.query);
  const [series] = await stack.range(query, healthySince, new Date());
  const values = series?.values.map(([, value]) => Number(value)) ?? [];
  expect(values[0]).toBe(0);
  expect(values.at(-1)).toBeGreaterThan(0.05);
  expect(traffic.counts().failed).toBeGreaterThan(0);

  await shop.send('POST', '/chaos/reset');
  const resolved = () =>
    comio.heard.flatMap(({ alerts }) => alerts).find(({ status }) => status === 'resolved');
  await expect.poll(resolved).toMatchObject({ fingerprint: alert?.fingerprint });
  await expect.poll(() => stack.alerts()).toEqual([]);
});

it('has an alert for each chaos switch, and none before', async () => {
  await using shop = await startShop();
  await using comio = await startComio([shop.address]);
  await using stack = await startPrometheus({ comioUrl: comio.url, token: 's3cret' });
  await using traffic = createTraffic({ baseUrl: shop.url, rate: 20 });
  const active = async () => (await stack.alerts()).map(({ labels: { alertname } }) => alertname);
  await expect.poll(() => traffic.counts().ok).toBeGreaterThan(100);
  expect(comio.heard).toEqual([]);

  for (const [name, parameters, alertname] of [
    ['latency', { ms: 700 }, 'AppSlow'],
    ['leak', { mbPerSecond: 20, maxMb: 200 }, 'AppMemoryGrows'],
    ['cpu', { share: 0.9 }, 'AppBusy'],
  ] as const) {
    expect((await shop.send('POST', `/chaos/${name}`, parameters)).status).toBe(200);
    await expect.poll(active, { message: name }).toContain(alertname);
    await shop.send('POST', '/chaos/reset');
    await expect.poll(active, { message: name }).toEqual([]);
  }
});

it('alerts about an app that has gone, and explains queries it cannot parse', async () => {
  await using shop = await startShop();
  await using comio = await startComio([shop.address]);
  await using stack = await startPrometheus({ comioUrl: comio.url, token: 's3cret' });
  await expect.poll(() => stack.instant('up{app="shop"} == 1')).toHaveLength(1);
  expect(await shop.terminate()).toBe(0);
  await expect
    .poll(() => comio.heard.flatMap(({ alerts }) => alerts.map(({ labels: { alertname } }) => alertname)))
    .toContain('AppDown');
  await expect(stack.instant('sum(')).rejects.toThrow(/parse error/);
});
