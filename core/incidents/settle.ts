import { type Kysely, sql, type Transaction } from 'kysely';
import type { Outbox } from '../conversations/outbox.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { showIncident } from './incidents.ts';

/** While people or a watch have it, how it ends is theirs to say; whether it is still so is looked up this often. */
const MIN_LOOK_MS = 1000;

/**
 * In the transaction that ends a signal: notes since when none is going. True when that is so; then the job `incident`
 * must be sent, to come when it has been quiet for long enough.
 */
export async function beQuiet(trx: Transaction<Schema>, incidentId: string): Promise<boolean> {
  const quiet = await trx
    .updateTable('incident')
    .set({ quiet_since: sql`coalesce(quiet_since, now())` })
    .where('id', '=', incidentId)
    .where('ended_at', 'is', null)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('signal')
            .select('signal.id')
            .where('signal.incident_id', '=', incidentId)
            .where('signal.ends_at', 'is', null),
        ),
      ),
    )
    .executeTakeFirst();
  return quiet.numUpdatedRows > 0n;
}

/**
 * What came with nobody having fixed anything goes as it came: an incident is over when its signals have been quiet for
 * `quietMs`, and not before, as what oscillates around its threshold ends every few seconds. Part of the job `incident`;
 * where it is too early, the job is sent again for when it is time.
 */
export function createSettle({
  db,
  jobs,
  outbox,
  quietMs,
}: {
  db: Kysely<Schema>;
  jobs: Sender;
  outbox: Outbox;
  quietMs: number;
}): (incidentId: string) => Promise<void> {
  return (incidentId) =>
    db.transaction().execute(async (trx) => {
      const incident = await trx
        .selectFrom('incident')
        .select(['state', 'quiet_since', 'ended_at', sql<Date>`clock_timestamp()`.as('now')])
        .where('id', '=', incidentId)
        .forNoKeyUpdate()
        .executeTakeFirst();
      if (!incident || incident.ended_at || !incident.quiet_since) return;
      const { state, quiet_since, now } = incident;
      const left = quiet_since.getTime() + quietMs - now.getTime();
      const isTheirs = state !== 'diagnosed' && state !== 'unresolved';
      if (left > 0 || isTheirs) {
        const afterMs = isTheirs ? Math.max(left, quietMs, MIN_LOOK_MS) : left;
        return jobs.send('incident', { incidentId }, { trx, afterMs });
      }
      await trx
        .updateTable('incident')
        .set({ state: 'resolved', settled_from: state, ended_at: now })
        .where('id', '=', incidentId)
        .execute();
      await showIncident(trx, outbox, incidentId);
    });
}
