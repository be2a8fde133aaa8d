import pg from 'pg';
import { StoreError } from './errors.ts';
import { pgTypes } from './types.ts';

/** The oldest release of PostgreSQL that still gets fixes and that the migrations were tried on. */
const OLDEST_SERVER = 15;

/**
 * A pool on `url`, after one connection has shown that the server answers, lets us in, and is a PostgreSQL with
 * pgvector. Throws StoreError with what to do about it; never with the password.
 */
export const openPool = async (url: string, onError: (error: Error) => void): Promise<pg.Pool> => {
  const place = placeOf(url);
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'comio',
    connectionTimeoutMillis: 10_000,
    max: 10,
    types: pgTypes,
  });
  // Without a listener an idle connection that the server drops ends the process.
  pool.on('error', onError);
  try {
    await check(pool, place);
    return pool;
  } catch (error) {
    await pool.end();
    throw error;
  }
};

const check = async (pool: pg.Pool, place: string): Promise<void> => {
  const { rows } = await pool
    .query<{ version: number; vector: boolean }>(
      `select current_setting('server_version_num')::int as version,
              exists (select from pg_available_extensions where name = 'vector') as vector`,
    )
    .catch((error: unknown) => {
      throw connectionError(error, place);
    });
  const server = rows[0] ?? { version: 0, vector: false };
  if (server.version < OLDEST_SERVER * 10_000)
    throw new StoreError(
      'server-too-old',
      `PostgreSQL at ${place} is version ${Math.floor(server.version / 10_000)}; Comio needs ${OLDEST_SERVER} or newer.`,
    );
  if (!server.vector)
    throw new StoreError(
      'no-pgvector',
      `PostgreSQL at ${place} has no pgvector. Install it on the server (Debian: postgresql-${Math.floor(server.version / 10_000)}-pgvector).`,
    );
};

/** `host:port/database`, the part of a connection URL that may be shown. */
export const placeOf = (url: string): string => {
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol))
    throw new StoreError(
      'bad-url',
      'DATABASE_URL is not a URL of the form postgres://user:password@host:port/database.',
    );
  const { hostname, port, pathname } = new URL(url);
  return `${hostname || 'localhost'}:${port || '5432'}${pathname}`;
};

const connectionError = (cause: unknown, place: string): StoreError => {
  // Only the server sends a DatabaseError; anything else is the way to it (refused, no such host, timeout, TLS).
  if (!(cause instanceof pg.DatabaseError)) {
    const reason =
      cause instanceof Error ? cause.message || ('code' in cause ? String(cause.code) : cause.name) : '';
    return new StoreError('unreachable', `PostgreSQL at ${place} cannot be reached: ${reason}.`, { cause });
  }
  if (cause.code === '3D000')
    return new StoreError('no-such-database', `PostgreSQL at ${place}: ${cause.message}. Create it first.`, {
      cause,
    });
  // Class 28: invalid authorization. 42501: insufficient privilege.
  if (cause.code?.startsWith('28') || cause.code === '42501')
    return new StoreError('access-denied', `PostgreSQL at ${place} refuses the login: ${cause.message}.`, {
      cause,
    });
  return new StoreError('unreachable', `PostgreSQL at ${place} answers, but not to us: ${cause.message}.`, {
    cause,
  });
};
