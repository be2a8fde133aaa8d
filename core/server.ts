import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { routePath } from 'hono/route';
import { withIds } from '#observability/context.ts';
import type { Logger } from '#observability/log.ts';
import type { Metrics } from '#observability/metrics.ts';
import type { Reading } from '#observability/row-metrics.ts';
import { STATUS_PAGE_CSP, type StatusView, statusPage } from './status-page.ts';

/** The HTTP side: health, metrics and the status page. Surfaces mount their webhooks on the same app. */
export function createServer(deps: {
  metrics: Metrics;
  /** What is read for a scrape. Throws when the database is away. */
  readings: () => Promise<Reading[]>;
  /** Throws, or names what is not ready. */
  ready: () => Promise<string[]>;
  status: () => Promise<StatusView>;
  /** A picture in a card; undefined when there is none. */
  image: (id: string) => Promise<Uint8Array<ArrayBuffer> | undefined>;
  log: Logger;
}): Hono {
  const app = new Hono();
  const metrics = shared(() =>
    deps.metrics.scrape(async () => {
      const [missing, readings] = await Promise.all([deps.ready(), deps.readings()]);
      return { ready: missing.length === 0, readings };
    }),
  );
  const status = shared(deps.status, STATUS_MS);
  app.onError((error, context) => {
    // A body that is too long, for instance: whoever sends it is told, and cannot fill the log.
    if (error instanceof HTTPException) return error.getResponse();
    if (context.req.raw.signal.aborted) {
      deps.log.debug({ path: context.req.path }, 'a request was given up by whoever sent it');
      return context.body(null, 400);
    }
    deps.log.error({ err: error, path: context.req.path }, 'request failed');
    return context.json({ error: 'internal error' }, 500);
  });
  app.use(async (context, next) => {
    const started = performance.now();
    await withIds({ requestId: randomUUID() }, next);
    const { method } = context.req;
    deps.metrics.requests.observe(
      {
        method: METHODS.has(method) ? method : 'other',
        // The pattern, never the path: that is as long as people like. No other route matched: the one of this handler.
        route: routePath(context, -1),
        status: context.res.status,
      },
      (performance.now() - started) / 1000,
    );
  });
  app.get('/healthz', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', async (context) => {
    const missing = await deps.ready();
    return context.json(
      { status: missing.length === 0 ? 'ready' : 'not ready', missing },
      missing.length ? 503 : 200,
    );
  });
  app.get('/metrics', async (context) =>
    context.body(await metrics(), 200, {
      'content-type': deps.metrics.contentType,
    }),
  );
  app.get('/', async (context) =>
    context.html(statusPage(await status()), 200, {
      'content-security-policy': STATUS_PAGE_CSP,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    }),
  );
  // GitHub's proxy and whoever has the card fetch it: nobody guesses an id, and what it names never changes.
  app.get(`/images/:file{${UUID}\\.png}`, async (context) => {
    const png = await deps.image(context.req.param('file').slice(0, -'.png'.length));
    if (!png) return context.notFound();
    return context.body(png, 200, {
      'content-type': 'image/png',
      'cache-control': 'public, max-age=31536000, immutable',
      'content-security-policy': "default-src 'none'",
      'x-content-type-options': 'nosniff',
    });
  });
  return app;
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Milliseconds the status page's answer is given again: however many look at it, the sandbox driver is asked this often. */
const STATUS_MS = 1000;

/** Whoever asks while an answer is sought gets the same; so does who asks within `forMs` after. Failures are not kept. */
function shared<T>(read: () => Promise<T>, forMs = 0): () => Promise<T> {
  let known: Promise<T> | undefined;
  let until = Number.POSITIVE_INFINITY;
  return async () => {
    if (performance.now() >= until) known = undefined;
    if (known) return await known;
    until = Number.POSITIVE_INFINITY;
    known = read();
    try {
      const answer = await known;
      until = performance.now() + forMs;
      return answer;
    } catch (error) {
      known = undefined;
      throw error;
    }
  };
}
