import type { Kysely } from 'kysely';
import type { Person } from '../../conversations/surface.ts';
import type { Schema } from '../../store/schema.ts';

/** A deployment that went live at some time, and what it brought. */
export interface DeploymentSeen {
  id: string;
  kind: 'deploy' | 'rollback';
  state: string;
  requestedBy: Person;
  liveAt: Date;
  endedAt: Date | null;
  sha: string;
  message: string;
}

const MAX_DEPLOYMENTS = 20;
/** A scrape and a detector's window may place the beginning a little before its cause. */
const LEEWAY_MS = 60_000;

/** Newest first. */
export async function deploymentsOf(db: Kysely<Schema>, environmentId: string): Promise<DeploymentSeen[]> {
  const rows = await db
    .selectFrom('deployment')
    .innerJoin('release', 'release.id', 'deployment.release_id')
    .select([
      'deployment.id',
      'deployment.kind',
      'deployment.state',
      'deployment.requested_by',
      'deployment.live_at',
      'deployment.ended_at',
      'release.commit_sha',
      'release.commit_message',
    ])
    .where('deployment.environment_id', '=', environmentId)
    .where('deployment.live_at', 'is not', null)
    .orderBy('deployment.live_at', 'desc')
    .limit(MAX_DEPLOYMENTS)
    .execute();
  return rows.flatMap((row) =>
    row.live_at === null
      ? []
      : [
          {
            id: row.id,
            kind: row.kind,
            state: row.state,
            requestedBy: row.requested_by,
            liveAt: row.live_at,
            endedAt: row.ended_at,
            sha: row.commit_sha,
            message: row.commit_message,
          },
        ],
  );
}

/** What was live at `onset`, and what had been before it. `deployments`: newest first. */
export function aroundOnset(
  deployments: readonly DeploymentSeen[],
  onset: Date,
): { live: DeploymentSeen | undefined; previous: DeploymentSeen | undefined } {
  const begun = deployments.filter(({ liveAt }) => liveAt.getTime() <= onset.getTime() + LEEWAY_MS);
  const live = begun[0] ?? deployments[0];
  return { live, previous: begun.find(({ sha }) => sha !== live?.sha) };
}
