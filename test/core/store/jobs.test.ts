import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '#core/store/database.ts';
import { createLogger } from '#observability/log.ts';
import { forEachStore, openTestDatabase } from '#test/support/database.ts';
import { never, openTaskJobs } from './task-queue.ts';

/** A list that can be waited on to reach a length. */
const createLog = <T>() => {
  const entries: T[] = [];
  let changed = Promise.withResolvers<void>();
  return {
    entries,
    push(entry: T) {
      entries.push(entry);
      changed.resolve();
      changed = Promise.withResolvers();
    },
    async reaches(length: number) {
      while (entries.length < length) await changed.promise;
    },
  };
};

const quietly = { concurrency: 3, onDead: never };

forEachStore((_kind, open) => {
  it('works on a job that was sent, with its payload', async () => {
    await using database = await open();
    await using jobs = await openTaskJobs(database);
    const seen = createLog<string>();
    await jobs.work('task', quietly, async ({ name }) => seen.push(name));
    await jobs.send('task', { name: 'a' });
    await jobs.send('task', { name: 'b' });
    await seen.reaches(2);
    expect(seen.entries.toSorted()).toEqual(['a', 'b']);
  });

  it('sends in the transaction of the caller: on commit, or not at all', async () => {
    await using database = await open();
    await sql`create table note (text text)`.execute(database.db);
    await using jobs = await openTaskJobs(database);
    const seen = createLog<string>();
    await jobs.work('task', quietly, async ({ name }) => {
      const { rows } = await sql<{ text: string }>`select text from note`.execute(database.db);
      seen.push(`${name}: ${rows.map(({ text }) => text).join()}`);
    });
    const rolledBack = database.db.transaction().execute(async (trx) => {
      await jobs.send('task', { name: 'rolled back' }, { trx });
      throw new Error('changed my mind');
    });
    await expect(rolledBack).rejects.toThrow('changed my mind');
    await database.db.transaction().execute(async (trx) => {
      await jobs.send('task', { name: 'committed' }, { trx });
      await sql`insert into note values ('written after')`.execute(trx);
    });
    await seen.reaches(1);
    await jobs.send('task', { name: 'last' });
    await seen.reaches(2);
    expect(seen.entries).toEqual(['committed: written after', 'last: written after']);
  });

  it('works on one job of a key at a time, and lets other keys pass', async () => {
    await using database = await open();
    await using jobs = await openTaskJobs(database);
    const seen = createLog<string>();
    const release = Promise.withResolvers<void>();
    await jobs.work('task', quietly, async ({ name }) => {
      seen.push(`${name} starts`);
      if (name === 'slow' && seen.entries.length === 1) await release.promise;
      seen.push(`${name} ends`);
    });
    await jobs.send('task', { name: 'slow' });
    await seen.reaches(1);
    await jobs.send('task', { name: 'slow' });
    await jobs.send('task', { name: 'quick' });
    await seen.reaches(3);
    expect(seen.entries).toEqual(['slow starts', 'quick starts', 'quick ends']);
    release.resolve();
    await seen.reaches(6);
    expect(seen.entries.slice(3)).toEqual(['slow ends', 'slow starts', 'slow ends']);
  });

  it('queues one more behind a job at work, however often and however concurrently it is sent', async () => {
    await using database = await open();
    await using jobs = await openTaskJobs(database);
    const seen = createLog<string>();
    const release = Promise.withResolvers<void>();
    await jobs.work('task', quietly, async ({ name }) => {
      seen.push(name);
      await release.promise;
    });
    await jobs.send('task', { name: 'a' });
    await seen.reaches(1);
    await Promise.all(Array.from({ length: 20 }, () => jobs.send('task', { name: 'a' })));
    const queued = await sql<{ count: number }>`
      select count(*) from pgboss.job where name = 'task' and state = 'created'`.execute(database.db);
    expect(queued.rows).toEqual([{ count: 1 }]);
    release.resolve();
    await seen.reaches(2);
    await jobs.send('task', { name: 'b' });
    await seen.reaches(3);
    expect(seen.entries).toEqual(['a', 'a', 'b']);
  });

  it('keeps jobs of one key with different payloads apart', async () => {
    await using database = await open();
    await using jobs = await openTaskJobs(database);
    for (const name of ['a', 'b', 'a']) await jobs.send('task', { name }, { key: 'shared' });
    const seen = createLog<string>();
    await jobs.work('task', quietly, async ({ name }) => seen.push(name));
    await seen.reaches(2);
    expect(seen.entries).toEqual(['a', 'b']);
  });

  it('runs a delayed job when it is due, or when it is sent again to be earlier', async () => {
    await using database = await open();
    await using jobs = await openTaskJobs(database);
    const seen = createLog<string>();
    await jobs.send('task', { name: 'in an hour' }, { afterMs: 3_600_000 });
    await jobs.send('task', { name: 'pulled forward' }, { afterMs: 3_600_000 });
    await jobs.send('task', { name: 'pulled forward' }, { afterMs: 50 });
    await jobs.send('task', { name: 'pulled forward' }, { afterMs: 3_600_000 });
    await jobs.work('task', quietly, async ({ name }) => seen.push(name));
    await seen.reaches(1);
    expect(seen.entries).toEqual(['pulled forward']);
    const { rows } = await sql`select data ->> 'name' as name from pgboss.job
      where name = 'task' and state = 'created'`.execute(database.db);
    expect(rows).toEqual([{ name: 'in an hour' }]);
  });

  it('tries a failed job again, holding back its key but no other', async () => {
    await using database = await open();
    await using jobs = await openTaskJobs(database);
    const seen = createLog<string>();
    await jobs.work('task', { concurrency: 1, onDead: never }, async ({ name }) => {
      const tries = seen.entries.filter((entry) => entry === name).length;
      seen.push(name);
      if (name === 'fails once' && tries === 0) throw new Error('not yet');
    });
    await jobs.send('task', { name: 'fails once' });
    await seen.reaches(1);
    await jobs.send('task', { name: 'other' });
    await seen.reaches(3);
    expect(seen.entries).toEqual(['fails once', 'other', 'fails once']);
  });

  it('gives a job up after its last try, says so, and only then lets the next of its key start', async () => {
    await using database = await open();
    await using jobs = await openTaskJobs(database);
    const seen = createLog<string>();
    let told = 0;
    const onDead = async ({ name }: { name: string }, error: string) => {
      told += 1;
      seen.push(`${name} is dead: ${error}`);
      if (told === 1) throw new Error('the hook itself fails');
    };
    const failing = Promise.withResolvers<void>();
    await jobs.work('fragile', { concurrency: 2, onDead }, async ({ name }) => {
      seen.push(name);
      if (seen.entries.length > 1) return;
      await failing.promise;
      throw new Error('no way');
    });
    await jobs.send('fragile', { name: 'a' });
    await seen.reaches(1);
    await jobs.send('fragile', { name: 'a' });
    failing.resolve();
    await seen.reaches(4);
    expect(seen.entries).toEqual(['a', 'a is dead: no way', 'a is dead: no way', 'a']);
  });

  it('gives interrupted jobs back on stop, as often as it is stopped', async () => {
    await using database = await open();
    for (let round = 0; round < 3; round += 1) {
      const jobs = await openTaskJobs(database);
      const started = Promise.withResolvers<void>();
      await jobs.work('task', quietly, async (_payload, signal) => {
        started.resolve();
        await new Promise((_, fail) => {
          signal.addEventListener('abort', () => fail(signal.reason));
        });
      });
      if (round === 0) await jobs.send('task', { name: 'a' });
      await started.promise;
      await jobs.stop();
    }
    await using jobs = await openTaskJobs(database);
    const seen = createLog<string>();
    await jobs.work('task', quietly, async ({ name }) => seen.push(name));
    await seen.reaches(1);
    expect(seen.entries).toEqual(['a']);
  });

  it('does not take a job for done whose handler returned because of the signal', async () => {
    await using database = await open();
    const jobs = await openTaskJobs(database);
    const started = Promise.withResolvers<void>();
    await jobs.work('task', quietly, async (_payload, signal) => {
      started.resolve();
      await new Promise<void>((done) => {
        signal.addEventListener('abort', () => done());
      });
    });
    await jobs.send('task', { name: 'a' });
    await started.promise;
    await jobs.stop();
    const { rows } = await sql`select state from pgboss.job where name = 'task'`.execute(database.db);
    expect(rows).toEqual([{ state: 'retry' }]);
  });

  it('stops in the end even if a handler does not, and gives its job back', async () => {
    await using database = await open();
    const jobs = await openTaskJobs(database, 200);
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    await jobs.work('task', quietly, async () => {
      started.resolve();
      await release.promise;
    });
    await jobs.send('task', { name: 'a' });
    await started.promise;
    await jobs.stop();
    const { rows } = await sql`select state from pgboss.job where name = 'task'`.execute(database.db);
    expect(rows).toEqual([{ state: 'retry' }]);
    release.resolve();
  });

  it('aborts the signal of a job that is no longer its own', async () => {
    await using database = await open();
    await using jobs = await openTaskJobs(database);
    const started = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    await jobs.work('task', quietly, async (_payload, signal) => {
      started.resolve();
      signal.addEventListener('abort', () => aborted.resolve());
      await aborted.promise;
    });
    await jobs.send('task', { name: 'a' });
    await started.promise;
    // As when a process was silent for so long that another took the job.
    await sql`update pgboss.job set retry_count = retry_count + 1 where name = 'task'`.execute(database.db);
    await aborted.promise;
  });
});

describe('on one PostgreSQL, shared by two engines', () => {
  it('works on a key in one place at a time, and misses no wake-up', async () => {
    await using first = await openTestDatabase('postgres');
    if (first.kind !== 'postgres') throw new Error('not a PostgreSQL');
    await using second = await openDatabase({ url: first.url, dataDir: '', log: createLogger('silent') });
    await sql`create table counter (key text primary key, wanted int8 not null, seen int8 not null)`.execute(
      first.db,
    );
    await sql`insert into counter values ('a', 0, 0), ('b', 0, 0), ('c', 0, 0)`.execute(first.db);

    const active = new Map<string, number>();
    let overlaps = 0;
    const workedBy = new Set<string>();
    const start = async (name: string, database: Database) => {
      const jobs = await openTaskJobs(database);
      await jobs.work('task', quietly, async ({ name: key }) => {
        active.set(key, (active.get(key) ?? 0) + 1);
        if ((active.get(key) ?? 0) > 1) overlaps += 1;
        workedBy.add(name);
        const { rows } = await sql<{ wanted: number }>`select wanted from counter where key = ${key}`.execute(
          database.db,
        );
        await sql`select pg_sleep(0.005)`.execute(database.db);
        await sql`update counter set seen = ${rows[0]?.wanted} where key = ${key}`.execute(database.db);
        active.set(key, (active.get(key) ?? 0) - 1);
      });
      return jobs;
    };
    await using one = await start('first', first);
    await using two = await start('second', second);

    for (let round = 0; round < 40; round += 1)
      await Promise.all(
        ['a', 'b', 'c'].map((key, index) => {
          const [database, jobs] = (round + index) % 2 === 0 ? [first, one] : [second, two];
          return database.db.transaction().execute(async (trx) => {
            await jobs.send('task', { name: key }, { trx });
            await sql`update counter set wanted = wanted + 1 where key = ${key}`.execute(trx);
          });
        }),
      );
    await expect
      .poll(async () => (await sql`select * from counter where wanted <> seen`.execute(first.db)).rows, {
        timeout: 30_000,
      })
      .toEqual([]);
    expect(overlaps).toBe(0);
    expect([...workedBy].toSorted()).toEqual(['first', 'second']);
  });

  it('does not start a job that a transaction is just asking for again before that has committed', async () => {
    await using database = await openTestDatabase('postgres');
    await sql`create table note (text text)`.execute(database.db);
    await using jobs = await openTaskJobs(database);
    await jobs.send('task', { name: 'a' });
    const seen = createLog<string>();
    await database.db.transaction().execute(async (trx) => {
      await sql`insert into note values ('news')`.execute(trx);
      await jobs.send('task', { name: 'a' }, { trx });
      await jobs.work('task', quietly, async ({ name }) => {
        const { rows } = await sql<{ text: string }>`select text from note`.execute(database.db);
        seen.push(`${name}: ${rows.map(({ text }) => text).join()}`);
      });
      await jobs.send('task', { name: 'b' });
      await seen.reaches(1);
    });
    await seen.reaches(2);
    expect(seen.entries).toEqual(['b: ', 'a: news']);
  });
});
