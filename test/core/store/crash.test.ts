import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '#core/store/database.ts';
import { createLogger } from '#observability/log.ts';
import { createTestDatabase } from '#test/support/postgres.ts';
import { createTempDir } from '#test/support/temp-dir.ts';
import { never, openTaskJobs } from './task-queue.ts';

const log = createLogger('silent');

/** Starts a process that takes a job, and kills it with SIGKILL in the midst of it. */
const killWhileWorking = async (...args: string[]): Promise<void> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'worker-process.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  try {
    const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), exited]);
    expect(line).toBe('working on interrupted');
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
};

const nextJob = async (database: Database): Promise<string> => {
  await using jobs = await openTaskJobs(database);
  const { promise, resolve } = Promise.withResolvers<string>();
  await jobs.work('task', { concurrency: 1, onDead: never }, async ({ name }) => resolve(name));
  return await promise;
};

describe('the job of a killed process', () => {
  // pg-boss would notice after a minute, past the timeout.
  it('is taken over at the next start on PGlite', { timeout: 40_000 }, async () => {
    await using dir = await createTempDir();
    await killWhileWorking('--dir', dir.path);
    await using database = await openDatabase({ dataDir: dir.path, log });
    expect(await nextJob(database)).toBe('interrupted');
  });

  it('goes to another process on PostgreSQL once its heartbeat is missed', async () => {
    await using server = await createTestDatabase();
    await killWhileWorking('--url', server.url);
    await using database = await openDatabase({ url: server.url, dataDir: '', log });
    expect(await nextJob(database)).toBe('interrupted');
  });
});
