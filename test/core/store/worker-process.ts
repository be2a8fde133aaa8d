// A process to be killed: opens the database, takes a job, says so, and never finishes it.
import { parseArgs } from 'node:util';
import { openDatabase } from '#core/store/database.ts';
import { createLogger } from '#observability/log.ts';
import { never, openTaskJobs } from './task-queue.ts';

const { values } = parseArgs({ options: { url: { type: 'string' }, dir: { type: 'string', default: '' } } });
const log = createLogger('silent');
const database = await openDatabase({ url: values.url, dataDir: values.dir, log });
const jobs = await openTaskJobs(database);
await jobs.work('task', { concurrency: 1, onDead: never }, async ({ name }) => {
  process.stdout.write(`working on ${name}\n`);
  await new Promise(() => undefined);
});
await jobs.send('task', { name: 'interrupted' });
