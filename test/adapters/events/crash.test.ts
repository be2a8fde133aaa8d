import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { createPostgresBus } from '#adapters/events/postgres.ts';
import { type Database, openDatabase } from '#core/store/database.ts';
import { openJobs } from '#core/store/jobs.ts';
import { createLogger } from '#observability/log.ts';
import { createTestDatabase } from '../../support/postgres.ts';
import { createTempDir } from '../../support/temp-dir.ts';
import { createArrivals } from './arrivals.ts';

const log = createLogger('silent');

/** Starts a process that publishes two events and takes the first, and kills it with SIGKILL in the midst of it. */
const killWhileHandling = async (...args: string[]): Promise<void> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'handling-process.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  try {
    const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), exited]);
    expect(line).toBe('handling first');
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
};

const handledHere = async (database: Database): Promise<unknown[]> => {
  await using jobs = await openJobs(database, { log, queues: {} });
  await using bus = await createPostgresBus({ ...jobs.engine, log });
  const seen = createArrivals<unknown>();
  await bus.subscribe('orders', 'a', async ({ payload }) => seen.push(payload));
  await seen.reaches(2);
  return seen.entries;
};

describe('the events of a killed process', () => {
  it('are handled at the next start on PGlite, in their order', { timeout: 40_000 }, async () => {
    await using dir = await createTempDir();
    await killWhileHandling('--dir', dir.path);
    await using database = await openDatabase({ dataDir: dir.path, log });
    expect(await handledHere(database)).toEqual(['first', 'second']);
  });

  it('go to another process on PostgreSQL once its heartbeat is missed', { timeout: 40_000 }, async () => {
    await using server = await createTestDatabase();
    await killWhileHandling('--url', server.url);
    await using database = await openDatabase({ url: server.url, dataDir: '', log });
    expect(await handledHere(database)).toEqual(['first', 'second']);
  });
});
