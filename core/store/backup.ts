import { spawn } from 'node:child_process';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { sql } from 'kysely';
import type { Logger } from '#observability/log.ts';
import { type Database, type DatabaseSettings, openDatabase } from './database.ts';
import { lockDirectory } from './directory-lock.ts';
import { StoreError } from './errors.ts';
import { createPglite, pgliteExists } from './pglite.ts';

/**
 * Writes everything in the database to `file`, readable by this user only: a tar.gz of the PGlite directory, or
 * what `pg_dump --format=custom` makes of a PostgreSQL. A backup goes back into the kind of database it came from.
 * Safe beside a working service. Throws StoreError `tool-missing` or `backup-failed`; then `file` is as it was.
 */
export const backup = async (database: Database, file: string): Promise<void> => {
  const unfinished = `${file}.unfinished`;
  try {
    if (database.kind === 'pglite') {
      const dump = await database.pglite.dumpDataDir('gzip');
      await writeFile(unfinished, dump.stream(), { mode: 0o600 });
    } else {
      await writeFile(unfinished, '', { mode: 0o600 });
      await runTool('pg_dump', database.url, (target) => [
        '--format=custom',
        '--no-owner',
        '--no-privileges',
        `--file=${unfinished}`,
        target,
      ]);
    }
    await rename(unfinished, file);
  } finally {
    await rm(unfinished, { force: true });
  }
};

/**
 * Makes the database from a backup. It must be new: no PGlite directory yet, or no table in the PostgreSQL.
 * Throws StoreError `not-empty`, `locked`, `tool-missing` or `backup-failed`; then it is still new.
 */
export const restore = (settings: DatabaseSettings & { log: Logger }, file: string): Promise<void> =>
  settings.url === undefined
    ? restorePglite(resolve(settings.dataDir), file)
    : restorePostgres(settings, settings.url, file);

const restorePglite = async (dataDir: string, file: string): Promise<void> => {
  using _lock = lockDirectory(dataDir);
  if (pgliteExists(dataDir))
    throw new StoreError(
      'not-empty',
      `There is a database in ${dataDir} already. Move it away, or name another data directory.`,
    );
  await createPglite(dataDir, file).catch((cause: unknown) => {
    throw new StoreError(
      'backup-failed',
      `${file} cannot be restored: ${String(cause)}. Is it a backup of the embedded database?`,
      { cause },
    );
  });
};

const restorePostgres = async (
  settings: DatabaseSettings & { log: Logger },
  url: string,
  file: string,
): Promise<void> => {
  await using database = await openDatabase(settings);
  const { rows } = await sql<{ name: string }>`
    select schemaname || '.' || tablename as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema') limit 1`.execute(database.db);
  if (rows[0])
    throw new StoreError(
      'not-empty',
      `The database has tables already (${rows[0].name}). Restore into a new one.`,
    );
  await runTool('pg_restore', url, (target) => [
    '--no-owner',
    '--no-privileges',
    '--exit-on-error',
    '--single-transaction',
    `--dbname=${target}`,
    file,
  ]);
};

/** Runs one of PostgreSQL's tools on `url`. Its password goes through a file, since arguments are everyone's to read. */
const runTool = async (
  tool: 'pg_dump' | 'pg_restore',
  url: string,
  argumentsFor: (target: string) => string[],
): Promise<void> => {
  const secrets = await mkdtemp(join(tmpdir(), 'comio-'));
  try {
    const passfile = join(secrets, 'pgpass');
    const target = new URL(url);
    const password = decodeURIComponent(target.password);
    await writeFile(passfile, `*:*:*:*:${password.replace(/[\\:]/g, '\\$&')}\n`, { mode: 0o600 });
    target.password = '';
    target.searchParams.set('passfile', passfile);
    await run(tool, ['--no-password', ...argumentsFor(target.href)]);
  } finally {
    await rm(secrets, { recursive: true, force: true });
  }
};

const run = async (tool: string, args: string[]): Promise<void> => {
  const child = spawn(tool, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<number | null>((done, fail) => {
    child.once('error', (cause) =>
      fail(
        new StoreError(
          'tool-missing',
          `${tool} cannot be run. Install PostgreSQL's client programs (Debian: postgresql-client).`,
          {
            cause,
          },
        ),
      ),
    );
    child.once('close', done);
  });
  const [code, errors] = await Promise.all([exited, text(child.stderr)]);
  if (code !== 0)
    throw new StoreError('backup-failed', `${tool} failed (exit code ${code}): ${errors.trim()}`);
};
