import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Hono } from 'hono';
import type { Route } from './routes.ts';

/**
 * HTTP service discovery for Prometheus: what is live now, by its labels.
 * https://prometheus.io/docs/prometheus/latest/http_sd/
 *
 * With a token, whoever brings it may read; without one, only a process of this machine that asks directly,
 * and by a name of the loopback: a browser here may have been led to us by a name that a stranger points at us.
 */
export function mountDiscovery(
  app: Hono,
  { live, token }: { live: () => Route[]; token: string | undefined },
): void {
  app.get('/deployments/targets', (context) => {
    // What the Node server hands on beside the request.
    const { incoming } = (context.env ?? {}) as { incoming?: IncomingMessage };
    const allowed =
      token === undefined
        ? isDirect(incoming) && OWN_NAMES.has(new URL(context.req.url).hostname)
        : isSame(context.req.header('authorization') ?? '', `Bearer ${token}`);
    if (!allowed) return context.json({ error: 'not allowed' }, token === undefined ? 403 : 401);
    const groups = live().flatMap(({ address, labels }) =>
      address ? [{ targets: [`${address.host}:${address.port}`], labels }] : [],
    );
    return context.json(groups, 200, { 'cache-control': 'no-store' });
  });
}

const OWN_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** A proxy on this machine speaks for others. */
const isDirect = (incoming: IncomingMessage | undefined): boolean => {
  const { forwarded, 'x-forwarded-for': before } = incoming?.headers ?? {};
  const from = incoming?.socket.remoteAddress ?? '';
  return forwarded === undefined && before === undefined && /^(127\.|::1$|::ffff:127\.)/.test(from);
};

const isSame = (given: string, wanted: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
};
