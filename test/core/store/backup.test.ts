import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { backup, restore } from '#core/store/backup.ts';
import { type Database, openDatabase } from '#core/store/database.ts';
import { migrate } from '#core/store/migrate.ts';
import { createLogger } from '#observability/log.ts';
import { openTestDatabase, type StoreKind } from '#test/support/database.ts';
import { createTestDatabase } from '#test/support/postgres.ts';
import { installPostgresTools } from '#test/support/postgres-tools.ts';
import { createTempDir } from '#test/support/temp-dir.ts';
import { never, openTaskJobs } from './task-queue.ts';

const log = createLogger('silent');

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A place for a new database of a kind, and a file for its backup, with PostgreSQL's tools on the PATH. */
const setUp = async (kind: StoreKind, cleanup: AsyncDisposableStack) => {
  const { path } = cleanup.use(await createTempDir());
  const tools = join(path, 'tools');
  await mkdir(tools);
  await installPostgresTools(tools);
  vi.stubEnv('PATH', `${tools}${delimiter}${process.env.PATH}`);
  const url = kind === 'postgres' ? cleanup.use(await createTestDatabase()).url : undefined;
  return { dir: path, file: join(path, 'backup'), settings: { url, dataDir: join(path, 'restored'), log } };
};

const fill = async (database: Database): Promise<void> => {
  await sql`create table memory (text text, embedding vector(2), at timestamptz)`.execute(database.db);
  await sql`insert into memory values ('ä "quoted"', '[1,2]', '2026-01-02T03:04:05Z')`.execute(database.db);
  await using jobs = await openTaskJobs(database);
  await jobs.send('task', { name: 'from the backup' });
};

describe.each(['pglite', 'postgres'] as const)('on %s', (kind) => {
  it('restores what was backed up, jobs included', async () => {
    await using cleanup = new AsyncDisposableStack();
    const { dir, file, settings } = await setUp(kind, cleanup);
    {
      await using original = await openTestDatabase(kind);
      await fill(original);
      await backup(original, file);
    }
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).not.toContain('backup.unfinished');

    await restore(settings, file);
    await using database = await openDatabase(settings);
    await migrate(database.db, log);
    const { rows } = await sql`select * from memory`.execute(database.db);
    expect(rows).toEqual([{ text: 'ä "quoted"', embedding: '[1,2]', at: new Date('2026-01-02T03:04:05Z') }]);
    await using jobs = await openTaskJobs(database);
    const { promise, resolve } = Promise.withResolvers<string>();
    await jobs.work('task', { concurrency: 1, onDead: never }, async ({ name }) => resolve(name));
    expect(await promise).toBe('from the backup');
  });

  it('refuses to restore over a database, and leaves it as it was', async () => {
    await using cleanup = new AsyncDisposableStack();
    const { file, settings } = await setUp(kind, cleanup);
    {
      await using database = await openDatabase(settings);
      await migrate(database.db, log);
      await fill(database);
      await backup(database, file);
    }
    await expect(restore(settings, file)).rejects.toMatchObject({ code: 'not-empty' });
    await using database = await openDatabase(settings);
    const { rows } = await sql`select text from memory`.execute(database.db);
    expect(rows).toHaveLength(1);
  });

  it('refuses what is no backup, and leaves nothing behind', async () => {
    await using cleanup = new AsyncDisposableStack();
    const { file, settings } = await setUp(kind, cleanup);
    await writeFile(file, 'not a backup');
    await expect(restore(settings, file)).rejects.toMatchObject({ code: 'backup-failed' });
    await using database = await openDatabase(settings);
    await migrate(database.db, log);
    const { rows } = await sql`select * from message`.execute(database.db);
    expect(rows).toEqual([]);
  });
});

it('backs up a PGlite that is being written to', async () => {
  await using cleanup = new AsyncDisposableStack();
  const { file, settings } = await setUp('pglite', cleanup);
  {
    await using original = await openTestDatabase('pglite');
    await sql`create table entry (id int)`.execute(original.db);
    const insert = (id: number) => sql`insert into entry values (${id})`.execute(original.db);
    for (let id = 0; id < 50; id += 1) await insert(id);
    const [done] = await Promise.all([
      backup(original, file),
      ...Array.from({ length: 50 }, (_, id) => insert(50 + id)),
    ]);
    expect(done).toBeUndefined();
  }
  await restore(settings, file);
  await using database = await openDatabase(settings);
  const { rows } = await sql<{ id: number }>`select id from entry order by id`.execute(database.db);
  const ids = rows.map(({ id }) => id);
  expect(ids.length).toBeGreaterThanOrEqual(50);
  expect(ids).toEqual(ids.map((_, index) => index));
});

it('keeps the last backup when a new one fails, and says which tool is missing', async () => {
  await using cleanup = new AsyncDisposableStack();
  const { file } = await setUp('postgres', cleanup);
  await using database = await openTestDatabase('postgres');
  await writeFile(file, 'the last backup');
  vi.stubEnv('PATH', '/nowhere');
  await expect(backup(database, file)).rejects.toMatchObject({
    code: 'tool-missing',
    message: expect.stringContaining('pg_dump'),
  });
  expect(await readFile(file, 'utf8')).toBe('the last backup');
});
