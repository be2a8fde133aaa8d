import {
  Agent,
  request as ask,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Logger } from '#observability/log.ts';
import type { Hosts } from './host.ts';
import { endToEnd, hasBody, linksOf, requestHeaders } from './proxy-headers.ts';
import { type ProxyStatus, proxyPage } from './proxy-page.ts';
import type { Route, Routes } from './routes.ts';

/** Milliseconds an instance has to take a connection, and to begin its answer. */
const CONNECT_MS = 5000;
const ANSWER_MS = 120_000;
/**
 * Milliseconds a connection to an instance is kept for the next request: less than any server closes it after, as a
 * request that meets the end of its connection cannot be sent again.
 */
const KEEP_MS = 1000;

/**
 * Hands requests for `<app>.<domain>` to the app's live instance. Everything streams, both ways. Disposed, it cuts
 * off what is still open.
 */
export interface AppProxy extends Disposable {
  request(request: IncomingMessage, response: ServerResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Requests and WebSockets of this process that a deployment's instance still works on. */
  inFlight(deploymentId: string): number;
}

type Live = Route & { deploymentId: string; address: { host: string; port: number } };
const isLive = (route: Route | undefined): route is Live =>
  route?.deploymentId !== undefined && route.address !== undefined;

export function createProxy({ hosts, routes, log }: { hosts: Hosts; routes: Routes; log: Logger }): AppProxy {
  const agent = new Agent({ keepAlive: true, timeout: KEEP_MS });
  const open = new Map<string, number>();
  const upgraded = new Set<Duplex>();

  const routeOf = (request: IncomingMessage): Route | undefined => {
    const label = hosts.labelOf(request.headers.host);
    return label === undefined ? undefined : routes.find(label);
  };

  /** Counts from now until the returned function is called. */
  function count({ deploymentId }: Live): () => void {
    open.set(deploymentId, (open.get(deploymentId) ?? 0) + 1);
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      const left = (open.get(deploymentId) ?? 1) - 1;
      if (left > 0) open.set(deploymentId, left);
      else open.delete(deploymentId);
    };
  }

  const toInstance = ({ address }: Live, request: IncomingMessage, headers: string[], pooled: boolean) =>
    ask({
      ...address,
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      headers,
      agent: pooled ? agent : false,
      setHost: false,
      timeout: CONNECT_MS,
    });

  function pass(request: IncomingMessage, response: ServerResponse): void {
    const route = routeOf(request);
    // An absolute address names a host of its own, which need not be the one in Host.
    if (!request.url?.startsWith('/')) refuse(request, response, 400);
    else if (!isLive(route)) refuse(request, response, route ? 503 : 404);
    else {
      response.once('close', count(route));
      send(request, response, route, true);
    }
  }

  function send(request: IncomingMessage, response: ServerResponse, route: Live, again: boolean): void {
    const outgoing = toInstance(route, request, requestHeaders(request, hosts.scheme), true);
    let connected = false;
    let answered = false;
    const abandon = () => outgoing.destroy();
    const spoil = (error: unknown) => {
      log.warn({ app: route.labels.app, err: error }, 'an app answered what cannot be passed on');
      request.unpipe();
      refuse(request, response, 502);
    };
    response.once('close', abandon);
    outgoing.once('socket', (socket) => {
      const begin = () => {
        connected = true;
        outgoing.setTimeout(ANSWER_MS);
        if (hasBody(request)) request.pipe(outgoing);
        else outgoing.end();
      };
      if (socket.connecting) socket.once('connect', begin);
      else begin();
    });
    outgoing.once('timeout', () => {
      if (!answered) outgoing.destroy(new Timeout(connected ? 'no answer' : 'no connection'));
    });
    outgoing.on('information', ({ statusCode, rawHeaders }) => {
      if (statusCode !== 103) return;
      try {
        // `writeEarlyHints` takes time exponential in what a Link says: an app could stop the whole service.
        response.writeInformation(103, linksOf(rawHeaders));
      } catch (error) {
        log.debug({ app: route.labels.app, err: error }, 'a hint was dropped');
      }
    });
    outgoing.once('response', (incoming) => {
      answered = true;
      // A stream may be silent for as long as it likes.
      outgoing.setTimeout(0);
      if (response.closed) return void incoming.destroy();
      try {
        response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, endToEnd(incoming));
      } catch (error) {
        // Node reads more than it writes, such as status 099.
        incoming.destroy();
        return spoil(error);
      }
      response.flushHeaders();
      pipeline(incoming, response).catch((error: unknown) => {
        log.debug({ app: route.labels.app, err: error }, 'an answer was cut off');
      });
    });
    outgoing.once('upgrade', (_incoming, instance: Socket) => {
      answered = true;
      instance.destroy();
      spoil(new Error('it changes the protocol unasked'));
    });
    outgoing.on('error', (error) => {
      response.off('close', abandon);
      if (answered || response.closed) return;
      // Nothing of the request was sent: it goes to whatever is live now, once.
      if (!connected && again && !(error instanceof Timeout)) return retry(request, response, route);
      log.warn({ app: route.labels.app, err: error }, 'an app did not answer');
      request.unpipe();
      refuse(request, response, error instanceof Timeout && connected ? 504 : 502);
    });
  }

  function retry(request: IncomingMessage, response: ServerResponse, before: Live): void {
    const resend = () => {
      const route = routeOf(request);
      if (response.closed) return;
      if (!isLive(route)) return refuse(request, response, 503);
      response.once('close', count(route));
      send(request, response, route, false);
    };
    routes.refresh().then(resend, (error: unknown) => {
      log.warn({ app: before.labels.app, err: error }, 'the table of live deployments could not be read');
      refuse(request, response, 502);
    });
  }

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const route = routeOf(request);
    const say = (status: ProxyStatus) => {
      const { headers, body } = proxyPage(request, status);
      const lines = Object.entries(headers).flat();
      socket.end(`${headOf(status, 'Refused', [...lines, 'connection', 'close'])}${body}`);
    };
    if (!request.url?.startsWith('/') || hasBody(request)) say(400);
    else if (!isLive(route)) say(route ? 503 : 404);
    else connect(request, socket, head, route, () => say(502));
  }

  function connect(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    route: Live,
    refused: () => void,
  ): void {
    const done = count(route);
    upgraded.add(socket);
    const headers = [
      ...requestHeaders(request, hosts.scheme),
      'Connection',
      'Upgrade',
      'Upgrade',
      'websocket',
    ];
    const outgoing: ClientRequest = toInstance(route, request, headers, false);
    socket.once('close', () => {
      done();
      upgraded.delete(socket);
      outgoing.destroy();
    });
    outgoing.once('timeout', () => outgoing.destroy(new Timeout('no answer')));
    outgoing.on('error', (error) => {
      log.warn({ app: route.labels.app, err: error }, 'an app did not take a WebSocket');
      refused();
    });
    // The app refuses.
    outgoing.once('response', (incoming) => {
      outgoing.setTimeout(0);
      // Only who reads sees that the visitor leaves.
      socket.once('end', () => socket.destroy()).resume();
      const { statusCode = 502, statusMessage = '' } = incoming;
      socket.write(headOf(statusCode, statusMessage, [...endToEnd(incoming, LENGTH), 'connection', 'close']));
      join(incoming, socket);
    });
    outgoing.once('upgrade', (incoming, instance: Socket, first: Buffer) => {
      outgoing.setTimeout(0);
      instance.setTimeout(0);
      if ('setTimeout' in socket) (socket as Socket).setTimeout(0).setNoDelay(true);
      const own = [...endToEnd(incoming), 'Connection', 'Upgrade', 'Upgrade', 'websocket'];
      socket.write(headOf(101, 'Switching Protocols', own));
      if (first.length > 0) socket.write(first);
      if (head.length > 0) instance.write(head);
      join(socket, instance);
      join(instance, socket);
    });
    outgoing.end();
  }

  /** When either side ends, so does the other. */
  function join(from: NodeJS.ReadableStream, to: Duplex): void {
    pipeline(from, to).catch((error: unknown) => {
      log.debug({ err: error }, 'a connection was cut off');
      to.destroy();
    });
  }

  return {
    request: pass,
    upgrade,
    inFlight: (deploymentId) => open.get(deploymentId) ?? 0,
    [Symbol.dispose]() {
      agent.destroy();
      for (const socket of upgraded) socket.destroy();
    },
  };
}

class Timeout extends Error {
  override readonly name = 'Timeout';
}

/** The end of the connection is the end of the body. */
const LENGTH: ReadonlySet<string> = new Set(['content-length']);

function headOf(status: number, reason: string, headers: readonly string[]): string {
  const lines: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
  return `HTTP/1.1 ${status} ${reason}\r\n${lines.join('\r\n')}\r\n\r\n`;
}

function refuse(request: IncomingMessage, response: ServerResponse, status: ProxyStatus): void {
  const { headers, body } = proxyPage(request, status);
  // What is left of the body would be read as the next request's head.
  const own = hasBody(request) ? { ...headers, connection: 'close' } : headers;
  // The reason is set anew: one of the app's may have been refused.
  response.writeHead(status, STATUS_CODES[status], own);
  response.end(request.method === 'HEAD' ? undefined : body);
}
