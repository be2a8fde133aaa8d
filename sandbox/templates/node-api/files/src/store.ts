import { randomUUID } from 'node:crypto';

export type Stored<Value> = Value & { id: string };

/** What the routes need of a database; this one lives as long as the process. */
export interface Store<Value> {
  list(): Stored<Value>[];
  get(id: string): Stored<Value> | undefined;
  create(value: Value): Stored<Value>;
  replace(id: string, value: Value): Stored<Value> | undefined;
  /** False when there was none. */
  remove(id: string): boolean;
}

export function createStore<Value extends object>(): Store<Value> {
  const values = new Map<string, Stored<Value>>();
  return {
    list: () => [...values.values()],
    get: (id) => values.get(id),
    create(value) {
      const stored = { ...value, id: randomUUID() };
      values.set(stored.id, stored);
      return stored;
    },
    replace(id, value) {
      if (!values.has(id)) return undefined;
      const stored = { ...value, id };
      values.set(id, stored);
      return stored;
    },
    remove: (id) => values.delete(id),
  };
}
