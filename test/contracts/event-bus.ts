import { describe, expect, it } from 'vitest';
import type { BusEvent, EventBus } from '#adapters/events/bus.ts';
import { createArrivals } from '../adapters/events/arrivals.ts';

/** A bus and what is around it. */
export interface BusHarness extends AsyncDisposable {
  readonly bus: EventBus;
  /** Another process's bus on the same events; undefined where there is no such thing. */
  second: (() => Promise<EventBus>) | undefined;
  /** Runs `work` in a transaction that the bus takes, and rolls it back when it throws. */
  transaction: ((work: (trx: unknown) => Promise<void>) => Promise<void>) | undefined;
}

let count = 0;
const event = (topic: string, key: string, payload: unknown = {}): BusEvent => {
  count += 1;
  return { id: `event-${count}`, topic, key, payload };
};

/** What every event bus does. */
export function eventBusContract(name: string, setup: () => Promise<BusHarness>): void {
  describe(`${name} as an event bus`, () => {
    it('brings every event of a topic to every group, whole, and nothing of other topics', async () => {
      await using harness = await setup();
      const { bus } = harness;
      const seen = createArrivals<string>();
      for (const group of ['a', 'b'])
        await bus.subscribe('orders', group, async (got) => seen.push(`${group} ${inKeyOrder(got)}`));
      await bus.subscribe('other', 'a', async () => seen.push('of another topic'));
      const first = event('orders', 'k', { deep: [1, { text: 'ä' }] });
      const second = event('orders', 'k', null);
      await bus.publish(first);
      await bus.publish(second);
      await seen.reaches(4);
      expect(seen.entries.toSorted()).toEqual(
        [first, second].flatMap((one) => ['a', 'b'].map((group) => `${group} ${inKeyOrder(one)}`)).toSorted(),
      );
    });

    it('brings an event to one subscriber of a group', async () => {
      await using harness = await setup();
      const { bus, second } = harness;
      await using other = second ? await second() : undefined;
      const seen = createArrivals<string>();
      await bus.subscribe('orders', 'a', async ({ id }) => seen.push(id));
      await bus.subscribe('orders', 'a', async ({ id }) => seen.push(id));
      await other?.subscribe('orders', 'a', async ({ id }) => seen.push(id));
      const events = Array.from({ length: 12 }, (_, index) => event('orders', `key ${index}`));
      for (const one of events) await bus.publish(one);
      await seen.reaches(12);
      // One that came twice would have come before this one.
      const last = event('orders', 'key 0');
      await bus.publish(last);
      await seen.reaches(13);
      expect(seen.entries.toSorted()).toEqual([...events, last].map(({ id }) => id).toSorted());
    });

    it('keeps the order within a key, and lets other keys pass one that is slow', async () => {
      await using harness = await setup();
      const { bus } = harness;
      const seen = createArrivals<string>();
      const release = Promise.withResolvers<void>();
      await bus.subscribe('orders', 'a', async ({ key, payload }) => {
        if (payload === 'slow') await release.promise;
        seen.push(`${key} ${payload}`);
      });
      await bus.publish(event('orders', 'x', 'slow'));
      for (const number of [1, 2, 3]) await bus.publish(event('orders', 'x', number));
      await bus.publish(event('orders', 'y', 'quick'));
      await seen.reaches(1);
      release.resolve();
      await seen.reaches(5);
      expect(seen.entries).toEqual(['y quick', 'x slow', 'x 1', 'x 2', 'x 3']);
    });

    it('brings an event again to the group whose handler threw, before the next of its key', async () => {
      await using harness = await setup();
      const { bus } = harness;
      const seen = createArrivals<string>();
      let tries = 0;
      await bus.subscribe('orders', 'fails', async ({ payload }) => {
        tries += 1;
        if (tries === 1) throw new Error('not now');
        seen.push(`fails ${payload}`);
      });
      await bus.subscribe('orders', 'works', async ({ payload }) => seen.push(`works ${payload}`));
      await bus.publish(event('orders', 'k', 1));
      await bus.publish(event('orders', 'k', 2));
      await seen.reaches(4);
      expect(seen.entries.filter((entry) => entry.startsWith('fails'))).toEqual(['fails 1', 'fails 2']);
      expect(seen.entries.filter((entry) => entry.startsWith('works'))).toEqual(['works 1', 'works 2']);
    });

    it('handles an event that is published again once', async () => {
      await using harness = await setup();
      const { bus } = harness;
      const seen = createArrivals<string>();
      await bus.subscribe('orders', 'a', async ({ id }) => seen.push(id));
      const twice = event('orders', 'k');
      await Promise.all([bus.publish(twice), bus.publish(twice)]);
      await seen.reaches(1);
      await bus.publish(twice);
      const last = event('orders', 'k');
      await bus.publish(last);
      await seen.reaches(2);
      expect(seen.entries).toEqual([twice.id, last.id]);
    });

    it('says whether it takes transactions, and then an event is published by the commit', async () => {
      await using harness = await setup();
      const { bus, transaction } = harness;
      expect(bus.supports.transactions).toBe(transaction !== undefined);
      if (!transaction) return;
      const seen = createArrivals<string>();
      await bus.subscribe('orders', 'a', async ({ id }) => seen.push(id));
      const [lost, kept] = [event('orders', 'k'), event('orders', 'k')];
      const rolledBack = transaction(async (trx) => {
        await bus.publish(lost, trx);
        throw new Error('changed my mind');
      });
      await expect(rolledBack).rejects.toThrow('changed my mind');
      await transaction((trx) => bus.publish(kept, trx));
      await seen.reaches(1);
      expect(seen.entries).toEqual([kept.id]);
    });
  });
}

/** A database gives the keys back in an order of its own. */
const inKeyOrder = ({ id, topic, key, payload }: BusEvent): string =>
  JSON.stringify({ id, topic, key, payload });
