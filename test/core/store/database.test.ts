import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { openDatabase } from '#core/store/database.ts';
import { migrate } from '#core/store/migrate.ts';
import { createLogger } from '#observability/log.ts';
import { forEachStore } from '#test/support/database.ts';
import { createTestDatabase } from '#test/support/postgres.ts';
import { createTempDir } from '#test/support/temp-dir.ts';

const log = createLogger('silent');
const dataDir = '';

forEachStore((_kind, open) => {
  it('keeps transactions apart', async () => {
    await using database = await open();
    const { db } = database;
    await sql`create table entry (id int primary key)`.execute(db);
    const failing = db.transaction().execute(async (trx) => {
      await sql`insert into entry values (1)`.execute(trx);
      throw new Error('rolled back');
    });
    const succeeding = db.transaction().execute((trx) => sql`insert into entry values (2)`.execute(trx));
    await expect(failing).rejects.toThrow('rolled back');
    await succeeding;
    const { rows } = await sql`select id from entry`.execute(db);
    expect(rows).toEqual([{ id: 2 }]);
  });

  it('can compare vectors', async () => {
    await using database = await open();
    const { rows } = await sql`select '[1,0]'::vector <=> '[0,1]'::vector as distance`.execute(database.db);
    expect(rows).toEqual([{ distance: 1 }]);
  });

  it('migrates again without doing anything', async () => {
    await using database = await open();
    const migrations = sql`select name, timestamp from kysely_migration order by name`;
    const before = await migrations.execute(database.db);
    expect(before.rows.length).toBeGreaterThan(0);
    await migrate(database.db, log);
    expect((await migrations.execute(database.db)).rows).toEqual(before.rows);
  });
});

describe('PGlite', () => {
  it('keeps what was written when it is opened again', async () => {
    await using dir = await createTempDir();
    {
      await using database = await openDatabase({ dataDir: dir.path, log });
      await sql`create table entry (text text)`.execute(database.db);
      await sql`insert into entry values ('kept')`.execute(database.db);
    }
    await using database = await openDatabase({ dataDir: dir.path, log });
    expect((await sql`select text from entry`.execute(database.db)).rows).toEqual([{ text: 'kept' }]);
  });

  it('belongs to one process, and names it to the next', async () => {
    await using dir = await createTempDir();
    await using _database = await openDatabase({ dataDir: dir.path, log });
    await expect(openDatabase({ dataDir: dir.path, log })).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining(`pid ${process.pid}`),
    });
  });

  it('is released by a process that is killed, even in the midst of making the directory', async () => {
    await using dir = await createTempDir();
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'worker-process.ts'), '--dir', dir.path],
      { stdio: 'ignore' },
    );
    const exited = once(child, 'exit');
    while (!(await readdir(dir.path)).includes('pglite.unfinished')) await sleep(5);
    await expect(openDatabase({ dataDir: dir.path, log })).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining(`pid ${child.pid}`),
    });
    child.kill('SIGKILL');
    await exited;
    await using database = await openDatabase({ dataDir: dir.path, log });
    expect((await sql`select 1 as one`.execute(database.db)).rows).toEqual([{ one: 1 }]);
  });
});

describe('PostgreSQL', () => {
  const variant = (url: string, change: (url: URL) => void): string => {
    const changed = new URL(url);
    change(changed);
    return changed.href;
  };

  it('is migrated by one of several processes that start at once', async () => {
    await using server = await createTestDatabase();
    const start = async () => {
      await using database = await openDatabase({ url: server.url, dataDir, log });
      await migrate(database.db, log);
      const { rows } = await sql<{ count: number }>`select count(*) from message`.execute(database.db);
      return rows[0]?.count;
    };
    expect(await Promise.all([start(), start(), start()])).toEqual([0, 0, 0]);
  });

  it('survives that the server drops its connections', async () => {
    await using server = await createTestDatabase();
    await using database = await openDatabase({ url: server.url, dataDir, log });
    const killer = new pg.Client({ connectionString: server.url });
    await killer.connect();
    await killer.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await killer.end();
    await expect
      .poll(async () => (await sql`select 1 as one`.execute(database.db)).rows)
      .toEqual([{ one: 1 }]);
  });

  it.each([
    ['bad-url', () => 'mysql://localhost/comio'],
    ['bad-url', () => 'localhost:5432'],
    [
      'access-denied',
      (url: string) =>
        variant(url, (it) => {
          it.password = 'S3cret-wrong';
        }),
    ],
    [
      'no-such-database',
      (url: string) =>
        variant(url, (it) => {
          it.pathname = '/nowhere';
        }),
    ],
    [
      'unreachable',
      (url: string) =>
        variant(url, (it) => {
          it.port = '1';
          it.password = 'S3cret-wrong';
        }),
    ],
    [
      'unreachable',
      (url: string) =>
        variant(url, (it) => {
          it.hostname = 'nowhere.invalid';
          it.password = 'S3cret-wrong';
        }),
    ],
  ])('says %s, without the password', async (code, change) => {
    await using server = await createTestDatabase();
    const opened = openDatabase({ url: change(server.url), dataDir, log });
    await expect(opened).rejects.toMatchObject({ name: 'StoreError', code });
    await expect(opened).rejects.not.toThrow('S3cret-wrong');
  });

  it.each([
    ['server-too-old', { version: 140_012, vector: true }],
    ['no-pgvector', { version: 170_000, vector: false }],
  ])('says %s', async (code, answer) => {
    await using server = await createServerThatAnswers([String(answer.version), answer.vector ? 't' : 'f']);
    await expect(openDatabase({ url: server.url, dataDir, log })).rejects.toMatchObject({ code });
  });
});

/** Speaks just enough of PostgreSQL's protocol to let anyone in and answer every query with one row. */
const createServerThatAnswers = async (row: [string, string]): Promise<AsyncDisposable & { url: string }> => {
  const message = (type: string, ...parts: Buffer[]) => {
    const body = Buffer.concat(parts);
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const int = (value: number, bytes: 2 | 4) => {
    const buffer = Buffer.alloc(bytes);
    buffer.writeIntBE(value, 0, bytes);
    return buffer;
  };
  const column = (name: string, type: number) =>
    Buffer.concat([
      Buffer.from(`${name}\0`),
      int(0, 4),
      int(0, 2),
      int(type, 4),
      int(4, 2),
      int(-1, 4),
      int(0, 2),
    ]);
  const ready = message('Z', Buffer.from('I'));
  const answer = Buffer.concat([
    message('T', int(2, 2), column('version', 23), column('vector', 16)),
    message('D', int(2, 2), ...row.flatMap((value) => [int(value.length, 4), Buffer.from(value)])),
    message('C', Buffer.from('SELECT 1\0')),
    ready,
  ]);
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', int(0, 4)), ready]));
      socket.on('data', (data) => {
        if (data[0] === 'Q'.charCodeAt(0)) socket.write(answer);
        if (data[0] === 'X'.charCodeAt(0)) socket.end();
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    url: `postgres://anyone@127.0.0.1:${port}/any`,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
};
