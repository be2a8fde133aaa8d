import { createChaos } from './chaos.js';
import { createMetrics, watchProcess } from './metrics.js';
import { createOrders, orderRoutes } from './orders.js';
import { createListener } from './router.js';

/** The shop as a request listener, with orders and metrics of its own: tests start as many as they like. */
export function createApp({ log, withChaos = false }) {
  const orders = createOrders();
  const metrics = createMetrics();
  watchProcess(metrics);
  const requests = metrics.counter('http_requests_total', 'Requests answered.');
  const seconds = metrics.histogram('http_request_duration_seconds', 'From request to answer.');
  metrics.counter('orders_total', 'Orders taken.', () => orders.taken);
  metrics.gauge('orders_in_memory', 'Orders that can be shown.', () => orders.size);
  const chaos = withChaos ? createChaos() : undefined;

  const routes = [
    { method: 'GET', path: '/health', quiet: true, handle: () => ({ status: 200, body: { status: 'ok' } }) },
    { method: 'GET', path: '/metrics', quiet: true, handle: () => ({ status: 200, text: metrics.text() }) },
    ...orderRoutes(orders).map((route) => (chaos ? chaos.disturb(route) : route)),
    ...(chaos ? chaos.routes : []),
  ];
  return createListener(routes, {
    answered({ method, route, status, ms, order, error }) {
      requests.add(1, { route, method, status });
      seconds.observe(ms / 1000, { route, method });
      const fields = { method, route, status, ms: Math.round(ms * 10) / 10, order };
      if (error) log('error', error.message, fields, error);
      else log('info', `${method} ${route}`, fields);
    },
  });
}
