import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
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
  const migrator = new Migrator({ db, provider: new FileMigrationProvider({ fs, path, migrationFolder }) });
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
