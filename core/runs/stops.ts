import type { Kysely } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Schema } from '../store/schema.ts';

/** How stale a stop that was pressed in another process may be seen, in milliseconds. */
const POLL_MS = 200;

/**
 * Turns requests to stop into aborts. The database is the truth (no step begins after the request is committed);
 * this only makes what already runs end at once. A stop received by this process arrives through `now`; one received
 * by another process is seen by a poll: one query for all turns of this process.
 */
export interface Stops extends Disposable {
  watch(turnId: string): { signal: AbortSignal; [Symbol.dispose](): void };
  now(turnIds: readonly string[]): void;
}

export function createStops(db: Kysely<Schema>, log: Logger): Stops {
  const watched = new Map<string, AbortController>();
  let polling = false;

  const now = (turnIds: readonly string[]) => {
    for (const id of turnIds) watched.get(id)?.abort(new Error('stopped by a person'));
  };

  async function poll(): Promise<void> {
    if (polling || watched.size === 0) return;
    polling = true;
    try {
      const rows = await db
        .selectFrom('turn')
        .select('id')
        .where('id', 'in', [...watched.keys()])
        .where('stop_requested_at', 'is not', null)
        .execute();
      now(rows.map((row) => row.id));
    } catch (error) {
      log.warn({ err: error }, 'looking for stop requests failed; the next look comes soon');
    } finally {
      polling = false;
    }
  }

  const timer = setInterval(() => void poll(), POLL_MS);
  timer.unref();
  return {
    watch(turnId) {
      const controller = new AbortController();
      watched.set(turnId, controller);
      return { signal: controller.signal, [Symbol.dispose]: () => void watched.delete(turnId) };
    },
    now,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
