import { Hono } from 'hono';
import type { Logger } from '#observability/log.ts';
import type { Metrics } from '#observability/metrics.ts';
import { STATUS_PAGE_CSP, type StatusView, statusPage } from './status-page.ts';

/** The HTTP side: health, metrics and the status page. Surfaces mount their webhooks on the same app. */
export function createServer(deps: {
  metrics: Metrics;
  /** Throws, or names what is not ready. */
  ready: () => Promise<string[]>;
  status: () => Promise<StatusView>;
  log: Logger;
}): Hono {
  const app = new Hono();
  app.onError((error, context) => {
    deps.log.error({ err: error, path: context.req.path }, 'request failed');
    return context.json({ error: 'internal error' }, 500);
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
    context.body(await deps.metrics.registry.metrics(), 200, {
      'content-type': deps.metrics.registry.contentType,
    }),
  );
  app.get('/', async (context) =>
    context.html(statusPage(await deps.status()), 200, {
      'content-security-policy': STATUS_PAGE_CSP,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    }),
  );
  return app;
}
