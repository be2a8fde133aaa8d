import { PRICES, priceOf } from './prices.js';
import { HttpError } from './router.js';

const KEPT = 2000;
const SHOWN = 20;

/** The newest orders, in memory. */
export function createOrders() {
  const orders = new Map();
  const ofCustomer = new Map();
  let taken = 0;

  const forgetOldest = () => {
    const [oldest] = orders.values();
    orders.delete(oldest.id);
    const rest = ofCustomer.get(oldest.customer).filter((order) => order !== oldest);
    if (rest.length > 0) ofCustomer.set(oldest.customer, rest);
    else ofCustomer.delete(oldest.customer);
  };

  return {
    get taken() {
      return taken;
    },
    get size() {
      return orders.size;
    },
    nextId: () => `o-${taken + 1}`,
    take(wish) {
      const order = { id: `o-${taken + 1}`, ...wish, ...priceOf(wish) };
      taken += 1;
      orders.set(order.id, order);
      ofCustomer.set(order.customer, [...(ofCustomer.get(order.customer) ?? []), order]);
      if (orders.size > KEPT) forgetOldest();
      return order;
    },
    get: (id) => orders.get(id),
    of: (customer) => (ofCustomer.get(customer) ?? []).slice(-SHOWN).reverse(),
  };
}

export const orderRoutes = (orders) => [
  {
    method: 'POST',
    path: '/orders',
    handle({ body, exchange }) {
      const wish = parseWish(body);
      exchange.order = orders.nextId();
      return { status: 201, body: orders.take(wish) };
    },
  },
  {
    method: 'GET',
    path: '/orders',
    handle({ query }) {
      const customer = query.get('customer');
      if (!customer) throw new HttpError(400, 'Say whose orders: /orders?customer=NAME');
      return { status: 200, body: orders.of(customer) };
    },
  },
  {
    method: 'GET',
    path: '/orders/:id',
    handle({ params, exchange }) {
      exchange.order = params.id;
      const order = orders.get(params.id);
      if (!order) throw new HttpError(404, 'There is no such order');
      return { status: 200, body: order };
    },
  },
];

function parseWish(body) {
  const { customer, item, quantity } = body ?? {};
  if (typeof customer !== 'string' || customer === '') throw new HttpError(400, '"customer" must be a name');
  if (!Object.hasOwn(PRICES, item))
    throw new HttpError(400, `"item" must be one of ${Object.keys(PRICES).join(', ')}`);
  if (!Number.isInteger(quantity) || quantity < 1 || quantity > 10_000)
    throw new HttpError(400, '"quantity" must be a whole number from 1 to 10000');
  return { customer, item, quantity };
}
