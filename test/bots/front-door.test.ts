import { once } from 'node:events';
import { get as ask, createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { createFrontDoor, type FrontDoor } from '#bots/front-door.ts';
import type { AppProxy } from '#core/deployments/proxy.ts';

const app = new Hono()
  .get('/healthz', (context) => context.json({ status: 'of the app' }))
  .get('/readyz', (context) => context.json({ status: 'ready', missing: [] }))
  .post('/slack/events', async (context) => context.text(`took ${await context.req.text()}`));

const isApp = ({ headers }: IncomingMessage) => headers.host === 'shop.localhost';
const proxy: AppProxy = {
  request: (request, response) => void response.end(`${request.url} of the app`),
  upgrade: (_request, socket) => void socket.end(),
  inFlight: () => 0,
  [Symbol.dispose]() {},
};

const get = async (door: FrontDoor, path: string) => door.fetch(new Request(`http://comio${path}`), {});
const post = async (door: FrontDoor, body: string) =>
  door.fetch(new Request('http://comio/slack/events', { method: 'POST', body }), {});

describe('the front door', () => {
  it('says at once that the service is alive and not ready', async () => {
    const door = createFrontDoor({ isApp });
    const health = await get(door, '/healthz');
    expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]);
    const ready = await get(door, '/readyz');
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'not ready', missing: ['starting'] }]);
  });

  it('keeps requests until the app is open, and then hands on every one with its body', async () => {
    const door = createFrontDoor({ isApp });
    const answers = Promise.all(['a', 'b', 'c'].map((body) => post(door, body)));
    door.open(app, proxy);
    const texts = (await answers).map((answer) => answer.text());
    expect(await Promise.all(texts)).toEqual(['took a', 'took b', 'took c']);
  });

  it('refuses what exceeds its bound, and says when to come again', async () => {
    const door = createFrontDoor({ isApp });
    const first = Array.from({ length: 256 }, (_, index) => post(door, String(index)));
    const late = await post(door, 'late');
    expect([late.status, late.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await get(door, '/healthz')).status).toBe(200);
    door.open(app, proxy);
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual(first.map(() => 200));
  });

  it('is out of the way once the app is open', async () => {
    const door = createFrontDoor({ isApp });
    door.open(app, proxy);
    expect(await (await get(door, '/healthz')).json()).toEqual({ status: 'of the app' });
    expect(await (await get(door, '/readyz')).json()).toEqual({ status: 'ready', missing: [] });
    expect(await (await post(door, 'now')).text()).toBe('took now');
  });

  it('keeps requests for deployed apps as well, and hands them to their proxy', async () => {
    const door = createFrontDoor({ isApp });
    const service = door.listener((_request, response) => void response.end('of the service'));
    const server = createServer(service).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const asked = async (host: string) => {
      const request = ask({ port, host: '127.0.0.1', path: '/cart', headers: { host } });
      const [answer] = (await once(request, 'response')) as [IncomingMessage];
      return text(answer);
    };
    try {
      const waiting = asked('shop.localhost');
      expect(await asked('localhost')).toBe('of the service');
      door.open(app, proxy);
      expect(await waiting).toBe('/cart of the app');
      expect(await asked('shop.localhost')).toBe('/cart of the app');
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
