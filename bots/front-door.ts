import type { IncomingMessage, RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Hono } from 'hono';
import type { AppProxy } from '#core/deployments/proxy.ts';

/** Requests that may wait at a time. Their bodies are not read yet, so each costs little more than its socket. */
const MAX_WAITING = 256;

export interface FrontDoor {
  fetch(request: Request, env: object): Response | Promise<Response>;
  /** What Node's server calls: requests for deployed apps go to their proxy, all others to `service`. */
  listener(service: RequestListener): RequestListener;
  /** Whether Node's server is to upgrade the connection; else the request is one like any other. */
  wantsUpgrade(request: IncomingMessage): boolean;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** From now on everything goes to the app and the proxy, first of all what has waited. */
  open(app: Hono, proxy: AppProxy): void;
}

/**
 * Answers from the first moment, while the app is still being opened: alive, not ready. Every other request waits,
 * because a webhook that is refused during a restart comes again after minutes or, from GitHub, not at all.
 */
export function createFrontDoor(options: {
  /** Whether the Host header names a deployed app. */
  isApp: (request: IncomingMessage) => boolean;
}): FrontDoor {
  const { promise: opened, resolve } = Promise.withResolvers<{ app: Hono; proxy: AppProxy }>();
  let behind: { app: Hono; proxy: AppProxy } | undefined;
  let waiting = 0;

  /** undefined: too many wait already. */
  function whenOpen(): typeof opened | undefined {
    if (waiting >= MAX_WAITING) return undefined;
    waiting += 1;
    return opened;
  }

  async function wait(request: Request, env: object): Promise<Response> {
    const open = whenOpen();
    if (!open) return new Response('starting', { status: 503, headers: { 'retry-after': '1' } });
    return (await open).app.fetch(request, env);
  }

  /** Calls `work` with the proxy once there is one; `refuse` when too many wait for it already. */
  function withProxy(work: (proxy: AppProxy) => void, refuse: () => void): void {
    const open = behind ? undefined : whenOpen();
    if (behind) work(behind.proxy);
    else if (open) open.then(({ proxy }) => work(proxy), refuse);
    else refuse();
  }

  return {
    fetch(request, env) {
      if (behind) return behind.app.fetch(request, env);
      const { pathname } = new URL(request.url);
      if (pathname === '/healthz') return Response.json({ status: 'ok' });
      if (pathname === '/readyz')
        return Response.json({ status: 'not ready', missing: ['starting'] }, { status: 503 });
      return wait(request, env);
    },
    listener: (service) => (request, response) => {
      if (!options.isApp(request)) return service(request, response);
      const refuse = () => void response.writeHead(503, { 'retry-after': '1' }).end('starting');
      withProxy((proxy) => proxy.request(request, response), refuse);
    },
    wantsUpgrade: (request) =>
      request.headers.upgrade?.toLowerCase() === 'websocket' && options.isApp(request),
    upgrade(request, socket, head) {
      withProxy(
        (proxy) => proxy.upgrade(request, socket, head),
        () => socket.destroy(),
      );
    },
    open(app, proxy) {
      behind = { app, proxy };
      resolve(behind);
    },
  };
}
