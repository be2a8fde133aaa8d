import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { expect, it } from 'vitest';
import { mountDiscovery } from '#core/deployments/discovery.ts';

async function statusesOf(token: string | undefined, headers: Record<string, string>[]) {
  const app = new Hono();
  mountDiscovery(app, { live: () => [], token });
  const server = createServer(getRequestListener(app.fetch)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const statuses: (number | undefined)[] = [];
  for (const one of headers) {
    const request = get({
      host: '127.0.0.1',
      port,
      path: '/deployments/targets',
      headers: one,
      agent: false,
    });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    answer.resume();
    statuses.push(answer.statusCode);
  }
  server.close();
  await once(server, 'close');
  return statuses;
}

it('tells without a token only who asks for this machine by a name of its own', async () => {
  const own = ['localhost', 'LOCALHOST:3000', '127.0.0.1:3000', '[::1]', '[::1]:3000'];
  expect(
    await statusesOf(
      undefined,
      own.map((host) => ({ host })),
    ),
  ).toEqual(own.map(() => 200));
  // A page may point a name of its own at this machine and read what a browser here is answered.
  const others = ['evil.example', 'evil.example:3000', 'localhost.evil.example', '127.0.0.1.evil.example'];
  expect(
    await statusesOf(
      undefined,
      others.map((host) => ({ host })),
    ),
  ).toEqual(others.map(() => 403));
});

it('tells with a token whoever brings it, by whatever name', async () => {
  const host = 'comio.example:3000';
  expect(await statusesOf('s3cret', [{ host, authorization: 'Bearer s3cret' }, { host }])).toEqual([
    200, 401,
  ]);
});
