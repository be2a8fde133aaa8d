import { resolve } from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import { Kysely, type Transaction } from 'kysely';
import type { Logger } from '#observability/log.ts';
import { lockDirectory } from './directory-lock.ts';
import { openPglite, vacuumEvery } from './pglite.ts';
import { openPool } from './postgres.ts';
import type { Schema } from './schema.ts';
import { StorablePGliteDialect, StorablePostgresDialect } from './storable.ts';

const HOUR_MS = 3_600_000;

export type Db = Kysely<Schema>;
export type Trx = Transaction<Schema>;

interface Opened extends AsyncDisposable {
  readonly db: Db;
}

export interface PgliteDatabase extends Opened {
  readonly kind: 'pglite';
  readonly pglite: PGlite;
  /** No other process can have work in progress here: what is left over is ours to take back. */
  readonly ownsAlone: true;
}

export interface PostgresDatabase extends Opened {
  readonly kind: 'postgres';
  readonly url: string;
  readonly ownsAlone: false;
}

export type Database = PgliteDatabase | PostgresDatabase;

export interface DatabaseSettings {
  /** A PostgreSQL 15 or newer with pgvector. Without it: PGlite in `<dataDir>/pglite`. */
  url?: string | undefined;
  dataDir: string;
}

export interface OpenOptions extends DatabaseSettings {
  log: Logger;
}

/** Opens the database; it is not migrated yet (see migrate.ts). Throws StoreError. */
export const openDatabase = (options: OpenOptions): Promise<Database> =>
  options.url === undefined ? openEmbedded(options) : openServer(options.url, options.log);

const openEmbedded = async ({ dataDir, log }: OpenOptions): Promise<PgliteDatabase> => {
  const directory = resolve(dataDir);
  await using opening = new AsyncDisposableStack();
  opening.use(lockDirectory(directory));
  const pglite = await openPglite(directory);
  opening.defer(() => pglite.close());
  opening.use(
    vacuumEvery(pglite, HOUR_MS, (error) =>
      log.warn({ error: String(error) }, 'vacuum of the embedded database'),
    ),
  );
  const db = new Kysely<Schema>({ dialect: new StorablePGliteDialect({ pglite }) });
  const held = opening.move();
  return { kind: 'pglite', db, pglite, ownsAlone: true, [Symbol.asyncDispose]: () => held.disposeAsync() };
};

const openServer = async (url: string, log: Logger): Promise<PostgresDatabase> => {
  const pool = await openPool(url, (error) =>
    log.warn({ error: error.message }, 'an idle database connection was lost'),
  );
  const db = new Kysely<Schema>({ dialect: new StorablePostgresDialect({ pool }) });
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= pool.end();
    return closing;
  };
  return { kind: 'postgres', db, url, ownsAlone: false, [Symbol.asyncDispose]: close };
};
