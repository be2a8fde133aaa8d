import type { Selectable, Transaction } from 'kysely';
import type { Outbox } from '../conversations/outbox.ts';
import type { Schema } from '../store/schema.ts';
import { incidentCard } from './incident-card.ts';
import type { IncidentState, IncidentTable } from './tables.ts';

export type Incident = Selectable<IncidentTable>;

export const incidentCardKey = (incidentId: string) => `incident:${incidentId}`;

/** Puts the incident's live card, made of its rows, into the outbox. Call it last in the transaction. */
export async function showIncident(
  trx: Transaction<Schema>,
  outbox: Outbox,
  incidentId: string,
): Promise<void> {
  const incident = await trx
    .selectFrom('incident')
    .selectAll()
    .where('id', '=', incidentId)
    .executeTakeFirstOrThrow();
  const signals = await trx
    .selectFrom('signal')
    .selectAll()
    .where('incident_id', '=', incidentId)
    .orderBy('starts_at')
    .orderBy('id')
    .execute();
  const evidence = await trx
    .selectFrom('evidence')
    .select(['number', 'kind', 'title'])
    .where('incident_id', '=', incidentId)
    .orderBy('number')
    .execute();
  const diagnosis = await trx
    .selectFrom('diagnosis')
    .selectAll()
    .where('incident_id', '=', incidentId)
    .executeTakeFirst();
  const remediation = await trx
    .selectFrom('remediation')
    .select(['state', 'error'])
    .where('incident_id', '=', incidentId)
    .orderBy('created_at', 'desc')
    .executeTakeFirst();
  const watch = await trx
    .selectFrom('watch')
    .select(['state', 'until', 'samples', 'result'])
    .where('incident_id', '=', incidentId)
    .orderBy('created_at', 'desc')
    .executeTakeFirst();
  const votes =
    diagnosis &&
    (await trx
      .selectFrom('feedback')
      .select('value')
      .where('subject', '=', 'diagnosis')
      .where('subject_id', '=', diagnosis.id)
      .execute());
  const environment = incident.environment_id
    ? await trx
        .selectFrom('environment')
        .select(['name', 'host'])
        .where('id', '=', incident.environment_id)
        .executeTakeFirst()
    : undefined;
  const card = incidentCard({
    incident,
    environment,
    signals,
    evidence,
    diagnosis,
    remediation,
    watch,
    votes: (votes ?? []).map(({ value }) => value),
  });
  await outbox.live(trx, incident.conversation_id, incidentCardKey(incidentId), card);
}

/**
 * Moves an incident on if it is in one of the states `from`; false when it is not, and nothing was changed. `resolved`
 * ends it: later signals open another. Show it afterwards with {@link showIncident}.
 */
export async function moveIncident(
  trx: Transaction<Schema>,
  incidentId: string,
  from: readonly IncidentState[],
  to: IncidentState,
): Promise<boolean> {
  const moved = await trx
    .updateTable('incident')
    .set({ state: to, ended_at: to === 'resolved' ? new Date() : null })
    .where('id', '=', incidentId)
    .where('state', 'in', [...from])
    .executeTakeFirst();
  return moved.numUpdatedRows > 0n;
}
