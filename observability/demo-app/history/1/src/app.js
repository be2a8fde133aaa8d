import { createOrders, orderRoutes } from './orders.js';
import { createListener } from './router.js';

/** The shop as a request listener, with orders of its own: tests start as many as they like. */
export function createApp({ log }) {
  const orders = createOrders();

  const routes = [
    { method: 'GET', path: '/health', quiet: true, handle: () => ({ status: 200, body: { status: 'ok' } }) },
    ...orderRoutes(orders),
  ];
  return createListener(routes, {
    answered({ method, route, status, ms, order, error }) {
      const fields = { method, route, status, ms: Math.round(ms * 10) / 10, order };
      if (error) log('error', error.message, fields, error);
      else log('info', `${method} ${route}`, fields);
    },
  });
}
