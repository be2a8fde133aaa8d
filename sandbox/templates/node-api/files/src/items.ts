import { HttpError } from './http.ts';
import type { Route } from './router.ts';
import type { Store } from './store.ts';

export interface Item {
  name: string;
}

export const itemRoutes = (items: Store<Item>): Route[] => [
  { method: 'GET', path: '/items', handle: () => ({ status: 200, body: items.list() }) },
  {
    method: 'POST',
    path: '/items',
    handle: ({ body }) => ({ status: 201, body: items.create(parseItem(body)) }),
  },
  {
    method: 'GET',
    path: '/items/:id',
    handle: ({ params }) => ({ status: 200, body: found(items.get(params.id ?? '')) }),
  },
  {
    method: 'PUT',
    path: '/items/:id',
    handle: ({ params, body }) => ({
      status: 200,
      body: found(items.replace(params.id ?? '', parseItem(body))),
    }),
  },
  {
    method: 'DELETE',
    path: '/items/:id',
    handle: ({ params }) => {
      if (!items.remove(params.id ?? '')) throw new HttpError(404, 'There is no such item');
      return { status: 204 };
    },
  },
];

function parseItem(body: unknown): Item {
  if (typeof body !== 'object' || body === null) throw new HttpError(400, 'The body must be a JSON object');
  const { name } = body as Record<string, unknown>;
  if (typeof name !== 'string' || name.trim() === '') throw new HttpError(400, '"name" must be a text that is not empty');
  return { name: name.trim() };
}

function found<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new HttpError(404, 'There is no such item');
  return value;
}
