import type { RequestListener } from 'node:http';
import { itemRoutes, type Item } from './items.ts';
import { createRouter } from './router.ts';
import { createStore } from './store.ts';

/** The whole API as a request listener, with a store of its own: tests start as many as they like. */
export const createApp = (): RequestListener =>
  createRouter([
    { method: 'GET', path: '/healthz', handle: () => ({ status: 200, body: { status: 'ok' } }) },
    ...itemRoutes(createStore<Item>()),
  ]);
