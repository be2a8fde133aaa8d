import type { Db as BossDb, PgBoss } from 'pg-boss';
import type { Logger } from '#observability/log.ts';
import type { EventBus } from './bus.ts';

/** What a bus may be built on. `Trx`: the transactions of whoever builds it. */
export interface BusResources<Trx> {
  /** Started; stopped by whoever started it, after the bus was disposed. */
  boss: PgBoss;
  /** pg-boss's statements within a transaction. */
  inside(trx: Trx): BossDb;
  /** No other process shares the database. */
  alone: boolean;
  log: Logger;
}

export type BusFactory = <Trx>(resources: BusResources<Trx>) => Promise<EventBus<Trx>>;
