import type { PGlite } from '@electric-sql/pglite';
import { type Db as BossDb, fromKysely, fromPglite, PgBoss } from 'pg-boss';
import type { Database, Trx } from './database.ts';
import { createPreparer } from './prepared.ts';

/** pg-boss tells a killed worker by silence; 10 s is the shortest it takes. */
export const HEARTBEAT_SECONDS = 10;

/**
 * pg-boss on either database, not started. It owns schema `pgboss`, and its own connections on PostgreSQL. `inside` has
 * it work within a transaction of ours.
 */
export const createBoss = (database: Database): { boss: PgBoss; inside: (trx: Trx) => BossDb } => {
  const prepared = database.kind === 'pglite' ? createPreparer() : (db: BossDb) => db;
  const boss = new PgBoss({
    ...(database.kind === 'pglite'
      ? {
          db: prepared(onPglite(database.pglite)),
          backend: 'pglite' as const,
          superviseIntervalSeconds: 60,
          monitorIntervalSeconds: 60,
        }
      : {
          connectionString: database.url,
          application_name: 'comio-jobs',
          max: 4,
          // How soon after its last heartbeat a killed worker's job is noticed.
          superviseIntervalSeconds: 3,
          monitorIntervalSeconds: 3,
        }),
    useListenNotify: true,
    schedule: false,
    maintenanceIntervalSeconds: 3600,
    flowIntervalSeconds: 3600,
  });
  return { boss, inside: (trx) => prepared(fromKysely(trx)) };
};

const SCRIPT = /^\s*BEGIN\s*;([\s\S]*?);?\s*COMMIT\s*;?\s*$/i;

/**
 * pg-boss sends `BEGIN; …; COMMIT;` scripts and rolls a failed one back in a second call; on PGlite's one session,
 * somebody else's query runs between the two, in the aborted transaction, and fails with 25P02. As a transaction
 * of PGlite's own the script and its rollback are one.
 */
const onPglite = (pglite: PGlite): BossDb => {
  const db = fromPglite(pglite);
  return {
    ...db,
    async executeSql(text, values) {
      const script = values?.length ? undefined : SCRIPT.exec(text)?.[1];
      if (script === undefined) return db.executeSql(text, values);
      const results = await pglite.transaction((trx) => trx.exec(script));
      return { rows: results.flatMap((result) => result.rows) };
    },
  };
};
