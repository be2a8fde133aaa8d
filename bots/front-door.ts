import type { Hono } from 'hono';

/** Requests that may wait at a time. Their bodies are not read yet, so each costs little more than its socket. */
const MAX_WAITING = 256;

export interface FrontDoor {
  fetch(request: Request, env: object): Response | Promise<Response>;
  /** From now on everything goes to the app, first of all what has waited. */
  open(app: Hono): void;
}

/**
 * Answers from the first moment, while the app is still being opened: alive, not ready. Every other request waits,
 * because a webhook that is refused during a restart comes again after minutes or, from GitHub, not at all.
 */
export function createFrontDoor(): FrontDoor {
  const { promise: opened, resolve } = Promise.withResolvers<Hono>();
  let behind: Hono | undefined;
  let waiting = 0;

  async function wait(request: Request, env: object): Promise<Response> {
    if (waiting >= MAX_WAITING)
      return new Response('starting', { status: 503, headers: { 'retry-after': '1' } });
    waiting += 1;
    return (await opened).fetch(request, env);
  }

  return {
    fetch(request, env) {
      if (behind) return behind.fetch(request, env);
      const { pathname } = new URL(request.url);
      if (pathname === '/healthz') return Response.json({ status: 'ok' });
      if (pathname === '/readyz')
        return Response.json({ status: 'not ready', missing: ['starting'] }, { status: 503 });
      return wait(request, env);
    },
    open(app) {
      behind = app;
      resolve(app);
    },
  };
}
