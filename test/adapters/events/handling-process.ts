// A process to be killed: publishes two events, takes the first, says so, and never finishes it.
import { parseArgs } from 'node:util';
import { createPostgresBus } from '#adapters/events/postgres.ts';
import { openDatabase } from '#core/store/database.ts';
import { openJobs } from '#core/store/jobs.ts';
import { createLogger } from '#observability/log.ts';

const { values } = parseArgs({ options: { url: { type: 'string' }, dir: { type: 'string', default: '' } } });
const log = createLogger('silent');
const database = await openDatabase({ url: values.url, dataDir: values.dir, log });
const { engine } = await openJobs(database, { log, queues: {} });
const bus = await createPostgresBus({ ...engine, log });
const both = Promise.withResolvers<void>();
await bus.subscribe('orders', 'a', async ({ payload }) => {
  await both.promise;
  process.stdout.write(`handling ${payload}\n`);
  await new Promise(() => undefined);
});
await bus.publish({ id: '1', topic: 'orders', key: 'k', payload: 'first' });
await bus.publish({ id: '2', topic: 'orders', key: 'k', payload: 'second' });
both.resolve();
