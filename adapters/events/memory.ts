import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#observability/log.ts';
import { type BusEvent, type EventBus, type Handle, MAX_DELIVERIES } from './bus.ts';

/** As many identities as a group remembers, to handle an event that is published twice once. */
const REMEMBERED = 10_000;
const BACKOFF_MS = { first: 50, most: 30_000 };

interface Group {
  subscribers: Handle[];
  /** Whose turn it is. */
  next: number;
  /** By key: settles when what was published so far is handled. */
  tails: Map<string, Promise<void>>;
  seen: Set<string>;
}

/**
 * Within this process: what was not handled is lost with it. A transaction's end is not awaited: an event published in
 * one that rolls back is delivered all the same.
 */
export function createMemoryBus({ log }: { log: Logger }): EventBus {
  const topics = new Map<string, Map<string, Group>>();
  const closing = new AbortController();

  async function deliver(group: Group, name: string, event: BusEvent): Promise<void> {
    for (let delivery = 1; !closing.signal.aborted; delivery += 1) {
      const handle = group.subscribers[group.next % group.subscribers.length];
      group.next += 1;
      try {
        await handle?.(structuredClone(event));
        return;
      } catch (error) {
        const about = { err: error, topic: event.topic, group: name, event: event.id };
        if (delivery === MAX_DELIVERIES) return log.error(about, 'an event was given up');
        log.warn(about, 'an event was not handled; it is delivered again');
        await pause(Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** (delivery - 1)), closing.signal);
      }
    }
  }

  return {
    name: 'memory',
    supports: { durability: false, transactions: false },

    async publish(event) {
      for (const [name, group] of topics.get(event.topic) ?? []) {
        if (group.seen.has(event.id)) continue;
        group.seen.add(event.id);
        const [oldest] = group.seen;
        if (group.seen.size > REMEMBERED && oldest !== undefined) group.seen.delete(oldest);
        const before = group.tails.get(event.key) ?? Promise.resolve();
        const tail = before
          .then(() => deliver(group, name, event))
          .then(() => {
            if (group.tails.get(event.key) === tail) group.tails.delete(event.key);
          });
        group.tails.set(event.key, tail);
      }
    },

    async subscribe(topic, name, handle) {
      const groups = topics.get(topic) ?? new Map<string, Group>();
      topics.set(topic, groups);
      const group: Group = groups.get(name) ?? {
        subscribers: [],
        next: 0,
        tails: new Map(),
        seen: new Set(),
      };
      groups.set(name, group);
      group.subscribers.push(handle);
    },

    async [Symbol.asyncDispose]() {
      closing.abort();
      const groups = [...topics.values()].flatMap((byName) => [...byName.values()]);
      await Promise.all(groups.flatMap(({ tails }) => [...tails.values()]));
    },
  };
}

/** Returns early when the signal aborts. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch((error) => {
    if (!signal.aborted) throw error;
  });
