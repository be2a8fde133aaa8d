import { promises as fs } from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import { DEFAULT_MIGRATION_TABLE, FileMigrationProvider, Migrator } from 'kysely/migration';
import type { Logger } from '#observability/log.ts';
import type { Db } from './database.ts';
import { StoreError } from './errors.ts';

export const migrationFolder = path.join(import.meta.dirname, 'migrations');

/**
 * Brings the schema up to date. Of several processes that start at once, one migrates and the others wait
 * (an advisory lock on PostgreSQL; PGlite has one process). All of it happens in one transaction.
 * Throws StoreError `migration-failed`.
 */
export const migrate = async (db: Db, log: Logger): Promise<void> => {
  const provider = new FileMigrationProvider({ fs, path, migrationFolder });
  if (await isCurrent(db, Object.keys(await provider.getMigrations()))) return;
  const migrator = new Migrator({ db, provider });
  const { error, results = [] } = await migrator.migrateToLatest();
  const failed = results.find((result) => result.status === 'Error');
  if (error !== undefined)
    throw new StoreError(
      'migration-failed',
      `The database could not be migrated${failed ? ` (${failed.migrationName})` : ''}: ${error}`,
      {
        cause: error,
      },
    );
  for (const { migrationName } of results) log.info({ migration: migrationName }, 'database migrated');
};

/** Kysely's Migrator takes a third of a second on PGlite to find that there is nothing to do. */
const isCurrent = async (db: Db, names: string[]): Promise<boolean> => {
  const found = await sql<{
    table: string | null;
  }>`select to_regclass(${DEFAULT_MIGRATION_TABLE})::text as table`.execute(db);
  if (!found.rows[0]?.table) return false;
  const { rows } = await sql<{
    name: string;
  }>`select name from ${sql.table(DEFAULT_MIGRATION_TABLE)} order by name`.execute(db);
  return JSON.stringify(rows.map(({ name }) => name)) === JSON.stringify(names.toSorted());
};
