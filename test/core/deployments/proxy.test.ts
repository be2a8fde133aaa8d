import { once } from 'node:events';
import { Agent, request as ask, createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createHosts } from '#core/deployments/host.ts';
import { createProxy } from '#core/deployments/proxy.ts';
import type { Route, Routes } from '#core/deployments/routes.ts';
import { type Listening, listen } from '../../support/listen.ts';
import { silentLog } from '../../support/silent-log.ts';

const labels = { app: 'shop', project: 'shop', environment: 'production', commit: 'abc' };
const HOST = 'shop.localhost';

describe('the proxy', () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  async function instance(handle: RequestListener) {
    const server = createServer(handle).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    return { server, address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } };
  }

  /** Under the names in `table`; what is in it may be changed. */
  async function proxied(table: Map<string, Partial<Route>>) {
    const hosts = createHosts({ domain: 'localhost', port: 3000 });
    let refreshed = 0;
    const routes: Routes = {
      find(label) {
        const found = table.get(label);
        return found && { deploymentId: undefined, address: undefined, labels, ...found };
      },
      refresh: async () => {
        refreshed += 1;
        onRefresh();
      },
      all: () => [],
      [Symbol.dispose]() {},
    };
    let onRefresh = () => {};
    const proxy = createProxy({ hosts, routes, log: silentLog });
    const front: Listening = await listen(proxy);
    closing.push(async () => {
      await front[Symbol.asyncDispose]();
      proxy[Symbol.dispose]();
    });
    return {
      proxy,
      front,
      refreshed: () => refreshed,
      onRefresh(then: () => void) {
        onRefresh = then;
      },
      send: (options: { method?: string; path?: string; headers?: Record<string, string>; host?: string }) =>
        ask({
          host: '127.0.0.1',
          port: front.port,
          method: options.method ?? 'GET',
          path: options.path ?? '/',
          headers: { host: options.host ?? HOST, ...options.headers },
          agent: new Agent(),
        }),
    };
  }
  const shop = (address: { host: string; port: number }, id = 'one') =>
    new Map<string, Partial<Route>>([['shop', { deploymentId: id, address }]]);
  const answerOf = async (request: ReturnType<typeof ask>): Promise<IncomingMessage> => {
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    return answer;
  };

  it('tells the app who asks and under which name, and keeps what is the connection’s own', async () => {
    const { address } = await instance((request, response) => {
      response.setHeader('connection', 'x-secret');
      response.setHeader('x-secret', 'of the connection');
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.end(JSON.stringify(request.headers));
    });
    const { send } = await proxied(shop(address));
    const request = send({
      host: 'Shop.Localhost:3000',
      headers: {
        'x-forwarded-for': '10.9.8.7',
        'x-forwarded-proto': 'https',
        forwarded: 'for=10.9.8.7',
        connection: 'x-mine, keep-alive',
        'x-mine': 'of the connection',
        'proxy-authorization': 'Basic abc',
        'x-theirs': 'kept',
      },
    });
    request.end();
    const answer = await answerOf(request);
    expect(answer.headers['x-secret']).toBeUndefined();
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    const seen = JSON.parse(await text(answer));
    expect(seen).toMatchObject({
      host: 'Shop.Localhost:3000',
      'x-forwarded-for': '10.9.8.7, 127.0.0.1',
      'x-forwarded-host': 'Shop.Localhost:3000',
      'x-forwarded-proto': 'http',
      'x-theirs': 'kept',
    });
    expect(Object.keys(seen)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(x-mine|forwarded|proxy-authorization)$/)]),
    );
  });

  it('streams both ways, before either side has ended', async () => {
    const { address } = await instance((request, response) => request.pipe(response));
    const { send } = await proxied(shop(address));
    const request = send({ method: 'POST' });
    request.write('one');
    const answer = await answerOf(request);
    const [first] = await once(answer, 'data');
    expect(String(first)).toBe('one');
    request.end('two');
    expect(await text(answer)).toBe('two');
  });

  it('keeps the length of a body, and frames one of unknown length on whatever method', async () => {
    const seen: (string | undefined)[][] = [];
    const { address } = await instance(async (request, response) => {
      seen.push([
        request.headers['content-length'],
        request.headers['transfer-encoding'],
        await text(request),
      ]);
      response.end('ok');
    });
    const { send } = await proxied(shop(address));
    for (const headers of [{ 'content-length': '4' }, { 'transfer-encoding': 'chunked' }]) {
      const request = send({ method: 'DELETE', headers });
      request.end('body');
      await text(await answerOf(request));
    }
    expect(seen).toEqual([
      ['4', undefined, 'body'],
      [undefined, 'chunked', 'body'],
    ]);
  });

  it('passes no request on whose length is ambiguous, or whose address names another host', async () => {
    let asked = 0;
    const { address } = await instance((_request, response) => {
      asked += 1;
      response.end('ok');
    });
    const { front } = await proxied(shop(address));
    const raw = async (head: string): Promise<string> => {
      const socket = connect(front.port, '127.0.0.1');
      socket.end(head);
      return text(socket);
    };
    const both = 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n';
    expect(await raw(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${both}\r\n0\r\n\r\nGET /x`)).toMatch(
      /^HTTP\/1.1 400/,
    );
    expect(
      await raw(`GET http://other.example/ HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`),
    ).toMatch(/^HTTP\/1.1 400/);
    expect(asked).toBe(0);
  });

  it('connects WebSockets, and counts them as open', async () => {
    const { address, server } = await instance((_request, response) => response.end());
    const { WebSocketServer } = await import('ws');
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${data}`)));
    const { front, proxy } = await proxied(shop(address));
    const socket = new WebSocket(`ws://127.0.0.1:${front.port}/`, { headers: { host: HOST } });
    await once(socket, 'open');
    expect(proxy.inFlight('one')).toBe(1);
    socket.send('hello');
    const [said] = await once(socket, 'message');
    expect(String(said)).toBe('echo hello');
    socket.close();
    await once(socket, 'close');
    await expect.poll(() => proxy.inFlight('one')).toBe(0);
  });

  it('refuses a WebSocket where nothing is live', async () => {
    const { front } = await proxied(new Map([['shop', {}]]));
    const socket = new WebSocket(`ws://127.0.0.1:${front.port}/`, { headers: { host: HOST } });
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(answer.statusCode).toBe(503);
    answer.resume();
  });

  it('ends the request to the app when its asker goes away', async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const { address } = await instance((_request, response) => {
      response.write('begun');
      response.once('close', () => resolve());
    });
    const { send, proxy } = await proxied(shop(address));
    const request = send({});
    request.end();
    await answerOf(request);
    expect(proxy.inFlight('one')).toBe(1);
    request.destroy();
    await gone;
    await expect.poll(() => proxy.inFlight('one')).toBe(0);
  });

  it('cuts the answer off when the app does, rather than end it as if it were whole', async () => {
    const { address } = await instance((_request, response) => {
      response.write('begun');
      setImmediate(() => response.destroy());
    });
    const { send } = await proxied(shop(address));
    const request = send({});
    request.end();
    await expect(text(await answerOf(request))).rejects.toThrow();
  });

  it('says what is wrong where no app answers: a page for people, JSON for programs', async () => {
    const dead = await instance((_request, response) => response.end());
    dead.server.close();
    const { send } = await proxied(
      new Map<string, Partial<Route>>([
        ['empty', {}],
        ['dead', { deploymentId: 'two', address: dead.address }],
      ]),
    );
    const get = async (host: string, accept: string) => {
      const request = send({ host, headers: { accept } });
      request.end();
      const answer = await answerOf(request);
      return { status: answer.statusCode, type: answer.headers['content-type'], body: await text(answer) };
    };
    expect(await get('none.localhost', '*/*')).toMatchObject({ status: 404, type: 'application/json' });
    const empty = await get('empty.localhost', 'text/html,*/*');
    expect(empty).toMatchObject({ status: 503, type: 'text/html; charset=utf-8' });
    expect(empty.body).toContain('Nothing is live');
    expect(await get('dead.localhost', '*/*')).toMatchObject({ status: 502 });
  });

  it('sends a request that found no connection to what is live by then, with its whole body', async () => {
    const before = await instance((_request, response) => response.end());
    before.server.close();
    const now = await instance((request, response) => request.pipe(response));
    const table = shop(before.address);
    const { send, onRefresh, refreshed } = await proxied(table);
    onRefresh(() => table.set('shop', { deploymentId: 'two', address: now.address }));
    const request = send({ method: 'POST' });
    request.end('the whole body');
    expect(await text(await answerOf(request))).toBe('the whole body');
    expect(refreshed()).toBe(1);
  });

  it('asks twice for nothing that an app may have heard', async () => {
    let asked = 0;
    const { address } = await instance((request) => {
      asked += 1;
      request.socket.destroy();
    });
    const { send, refreshed } = await proxied(shop(address));
    const request = send({});
    request.end();
    expect((await answerOf(request)).statusCode).toBe(502);
    expect([asked, refreshed()]).toEqual([1, 0]);
  });
});

describe('which hosts are apps', () => {
  it('knows one label below the domain, and never the service itself', () => {
    const local = createHosts({ domain: 'localhost', port: 3000 });
    for (const [host, label] of [
      ['shop.localhost', 'shop'],
      ['SHOP-staging.localhost.:3000', 'shop-staging'],
      ['localhost:3000', undefined],
      ['a.b.localhost', undefined],
      ['shop.example.com', undefined],
      ['evil.com/shop.localhost', undefined],
      ['-.localhost', undefined],
      [undefined, undefined],
    ] as const)
      expect(local.labelOf(host), host).toBe(label);
    expect(local.urlOf('shop')).toBe('http://shop.localhost:3000');
    const real = createHosts({ domain: 'example.com', publicUrl: 'https://comio.example.com', port: 3000 });
    expect(real.labelOf('comio.example.com')).toBeUndefined();
    expect(real.reserved.has('comio')).toBe(true);
    expect(real.urlOf('shop')).toBe('https://shop.example.com');
  });

  it('has no link for people who come from elsewhere, where apps are below a name of this machine', () => {
    const at = (publicUrl: string) => createHosts({ domain: 'localhost', publicUrl, port: 3000 });
    expect(at('https://comio.example.com').urlOf('shop')).toBeUndefined();
    expect(at('https://comio.example.com').labelOf('shop.localhost')).toBe('shop');
    expect(at('http://127.0.0.1:3000').urlOf('shop')).toBe('http://shop.localhost:3000');
    expect(at('http://comio.localhost:3000').urlOf('shop')).toBe('http://shop.localhost:3000');
  });
});
