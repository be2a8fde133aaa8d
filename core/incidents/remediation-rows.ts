import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Run, Turn } from '../runs/turns.ts';
import type { Schema } from '../store/schema.ts';
import { aroundOnset, deploymentsOf } from './evidence/deployments-seen.ts';
import type { Incident } from './incidents.ts';
import type { DiagnosisTable, RemediationTable } from './tables.ts';

/* What a fix is about, read from the rows around it. */

export type Remediation = Selectable<RemediationTable>;

export const OPEN = ['working', 'proposed', 'approved', 'published'] as const;

export const messageIdOf = (remediationId: string): string => `remediation:${remediationId}`;

type Reader = Kysely<Schema> | Transaction<Schema>;

export const diagnosisOf = (
  db: Reader,
  incidentId: string,
): Promise<Selectable<DiagnosisTable> | undefined> =>
  db
    .selectFrom('diagnosis')
    .selectAll()
    .where('incident_id', '=', incidentId)
    .orderBy('created_at', 'desc')
    .executeTakeFirst();

export async function openRemediation(
  db: Reader,
  incidentId: string,
): Promise<{ state: (typeof OPEN)[number] } | undefined> {
  const row = await db
    .selectFrom('remediation')
    .select('state')
    .where('incident_id', '=', incidentId)
    .where('state', 'in', [...OPEN])
    .executeTakeFirst();
  const state = OPEN.find((each) => each === row?.state);
  return state && { state };
}

export const incidentOf = (db: Reader, id: string): Promise<Incident> =>
  db.selectFrom('incident').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

export const projectOf = (db: Reader, id: string) =>
  db.selectFrom('project').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

export const environmentOf = async (db: Reader, id: string | null) =>
  id === null ? undefined : db.selectFrom('environment').selectAll().where('id', '=', id).executeTakeFirst();

export async function deployedCommit(db: Reader, environmentId: string | null): Promise<string | undefined> {
  if (environmentId === null) return undefined;
  const found = await db
    .selectFrom('environment')
    .innerJoin('deployment', 'deployment.id', 'environment.live_deployment_id')
    .innerJoin('release', 'release.id', 'deployment.release_id')
    .select('release.commit_sha')
    .where('environment.id', '=', environmentId)
    .executeTakeFirst();
  return found?.commit_sha;
}

/** What was live when the incident began: what is live now may be the rollback from it, which shows no fault. */
export async function faultyCommit(db: Reader, incident: Incident): Promise<string | undefined> {
  const { environment_id, began_at } = incident;
  if (environment_id === null) return undefined;
  const deployments = await deploymentsOf(db, environment_id);
  // A rollback soon after the beginning is an answer to it, not its cause.
  const causes = deployments.filter(({ kind, liveAt }) => kind !== 'rollback' || liveAt <= began_at);
  return aroundOnset(causes, began_at).live?.sha ?? (await deployedCommit(db, environment_id));
}

export const turnOf = (db: Reader, row: Remediation): Promise<Turn> =>
  db
    .selectFrom('turn')
    .selectAll()
    .where('run_id', '=', row.run_id)
    .where('message_id', '=', messageIdOf(row.id))
    .executeTakeFirstOrThrow();

export async function contextOf(
  db: Reader,
  row: Remediation,
): Promise<{ incident: Incident; run: Run; rootCause: string }> {
  const incident = await incidentOf(db, row.incident_id);
  const run = await db.selectFrom('run').selectAll().where('id', '=', row.run_id).executeTakeFirstOrThrow();
  const diagnosis = await diagnosisOf(db, row.incident_id);
  return { incident, run, rootCause: diagnosis?.root_cause ?? incident.title };
}
