import { createMemoryBus } from '#adapters/events/memory.ts';
import { createPostgresBus } from '#adapters/events/postgres.ts';
import type { Database, Trx } from '#core/store/database.ts';
import { openDatabase } from '#core/store/database.ts';
import { openJobs } from '#core/store/jobs.ts';
import { createLogger } from '#observability/log.ts';
import { eventBusContract } from '../../contracts/event-bus.ts';
import { openTestDatabase } from '../../support/database.ts';

const log = createLogger('silent');

eventBusContract('memory', async () => {
  const bus = createMemoryBus({ log });
  return {
    bus,
    second: undefined,
    transaction: undefined,
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  };
});

const openBus = async (database: Database) => {
  await using opening = new AsyncDisposableStack();
  const { engine } = opening.use(await openJobs(database, { log, queues: {} }));
  const bus = opening.use(await createPostgresBus<Trx>({ ...engine, log }));
  const held = opening.move();
  return { ...bus, [Symbol.asyncDispose]: () => held.disposeAsync() };
};

for (const kind of ['pglite', 'postgres'] as const) {
  eventBusContract(`postgres on ${kind}`, async () => {
    await using opening = new AsyncDisposableStack();
    const database = opening.use(await openTestDatabase(kind));
    const bus = opening.use(await openBus(database));
    const held = opening.move();
    return {
      bus,
      second:
        database.kind === 'pglite'
          ? undefined
          : async () => {
              await using other = new AsyncDisposableStack();
              const same = other.use(await openDatabase({ url: database.url, dataDir: '', log }));
              const second = other.use(await openBus(same));
              const both = other.move();
              return { ...second, [Symbol.asyncDispose]: () => both.disposeAsync() };
            },
      transaction: (work) => database.db.transaction().execute(work),
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  });
}
