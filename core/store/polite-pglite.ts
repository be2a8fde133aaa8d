import { setImmediate } from 'node:timers/promises';
import { PGlite, type QueryOptions, type Results, type Transaction } from '@electric-sql/pglite';

/**
 * PGlite works in this thread, and from one statement to the next it needs no turn of the event loop: whoever sends
 * many keeps the webhooks waiting for the last of them. Here each statement, and each transaction as a whole, begins in
 * a turn of its own.
 */
export class PolitePglite extends PGlite {
  override async query<T>(query: string, params?: unknown[], options?: QueryOptions): Promise<Results<T>> {
    await setImmediate();
    return super.query<T>(query, params, options);
  }

  override async exec(query: string, options?: QueryOptions): Promise<Results[]> {
    await setImmediate();
    return super.exec(query, options);
  }

  override async transaction<T>(callback: (trx: Transaction) => Promise<T>): Promise<T> {
    await setImmediate();
    return super.transaction(callback);
  }
}
