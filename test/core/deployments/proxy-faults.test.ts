import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { createHosts } from '#core/deployments/host.ts';
import { createProxy } from '#core/deployments/proxy.ts';
import type { Route, Routes } from '#core/deployments/routes.ts';
import { listen } from '../../support/listen.ts';
import { silentLog } from '../../support/silent-log.ts';

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('what an app may answer, and the proxy outlives', () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  /** In front of an app that answers every request with these bytes, and keeps its connections open. */
  async function facing(answer: string) {
    const connections = new Set<Socket>();
    const app = createServer((socket) => {
      connections.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('data', () => socket.write(answer, 'latin1'));
    }).listen(0, '127.0.0.1');
    await once(app, 'listening');
    closing.push(async () => {
      for (const socket of connections) socket.destroy();
      app.close();
      await once(app, 'close');
    });
    const route: Route = {
      deploymentId: 'one',
      address: { host: '127.0.0.1', port: (app.address() as AddressInfo).port },
      labels: { app: 'shop', project: 'shop', environment: 'production', commit: 'abc' },
    };
    const routes: Routes = {
      find: (label) => (label === 'shop' ? route : undefined),
      refresh: async () => undefined,
      all: () => [],
      [Symbol.dispose]() {},
    };
    const proxy = createProxy({
      hosts: createHosts({ domain: 'localhost', port: 1 }),
      routes,
      log: silentLog,
    });
    const front = await listen(proxy);
    closing.push(async () => {
      proxy[Symbol.dispose]();
      await front[Symbol.asyncDispose]();
    });
    const visit = (headers = 'Connection: close\r\n', host = 'shop.localhost'): Socket => {
      const socket = connect(front.port, '127.0.0.1');
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`);
      return socket;
    };
    return { proxy, visit };
  }

  it.each([
    ['a status below 100', 'HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok'],
    ['no status', 'HTTP/1.1 000 Zero\r\nContent-Length: 2\r\n\r\nok'],
    ['a control character in the reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok'],
  ])('is an answer with %s: the visitor is told that the app did not answer', async (_what, answer) => {
    const { proxy, visit } = await facing(answer);
    const got = await text(visit());
    expect(got).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
    expect(got).toContain('The app did not answer');
    await expect.poll(() => proxy.inFlight('one')).toBe(0);
  });

  it('passes an early hint on whatever its links say', async () => {
    for (const links of [
      ['</a.css>; rel=preload; as=style', '</b.js>; rel=preload; as=script'],
      ['garbage'],
      // Node's own check of this one would not end.
      [`</a.css>${'; a=b'.repeat(64)}"`],
    ]) {
      const lines = links.map((link) => `Link: ${link}\r\n`).join('');
      const { visit } = await facing(`HTTP/1.1 103 Early Hints\r\n${lines}X-Other: 1\r\n\r\n${OK}`);
      const got = await text(visit());
      expect(got).toMatch(/^HTTP\/1\.1 103 Early Hints\r\n/);
      expect(got).toContain(`\r\n${lines}\r\nHTTP/1.1 200 OK\r\n`);
      expect(got).toMatch(/ok$/);
    }
  });

  it('forgets who leaves while the app refuses an Upgrade with an answer that does not end', async () => {
    const { proxy, visit } = await facing('HTTP/1.1 200 OK\r\n\r\nbegun');
    const socket = visit(UPGRADE);
    await once(socket, 'data');
    expect(proxy.inFlight('one')).toBe(1);
    socket.end();
    await expect.poll(() => proxy.inFlight('one')).toBe(0);
  });

  it('waits for nothing from an app that changes the protocol unasked', async () => {
    const { proxy, visit } = await facing(`HTTP/1.1 101 Switching Protocols\r\n${UPGRADE}\r\n`);
    expect(await text(visit())).toMatch(/^HTTP\/1\.1 502 /);
    await expect.poll(() => proxy.inFlight('one')).toBe(0);
  });
});
