import type { Kysely } from 'kysely';
import { type DeploymentStatus, type Forge, ForgeError } from '#adapters/forge/forge.ts';
import type { Logger } from '#observability/log.ts';
import type { Schema } from '../store/schema.ts';
import { type Deployment, shortSha } from './environments.ts';
import type { Hosts } from './host.ts';

/** What the forge is told in each state; undefined: nothing. */
const STATUS: Readonly<Partial<Record<Deployment['state'], DeploymentStatus>>> = {
  building: 'in_progress',
  starting: 'in_progress',
  checking: 'in_progress',
  live: 'success',
  replaced: 'inactive',
  failed: 'failure',
  stopped: 'inactive',
  rejected: 'inactive',
};

/**
 * Tells the forge where a deployment stands: one record of each, its newest status told once. What the forge refuses is
 * logged and does not hold the deployment up.
 */
export function createForgeRecord(deps: {
  db: Kysely<Schema>;
  forge: Forge | undefined;
  hosts: Hosts;
  log: Logger;
}): (deploymentId: string) => Promise<void> {
  const { db, log } = deps;
  const { deployments } = deps.forge ?? {};
  if (!deployments) return async () => undefined;

  return async (deploymentId) => {
    const row = await db
      .selectFrom('deployment')
      .innerJoin('environment', 'environment.id', 'deployment.environment_id')
      .innerJoin('project', 'project.id', 'environment.project_id')
      .innerJoin('release', 'release.id', 'deployment.release_id')
      .select(['deployment.id', 'deployment.state', 'deployment.forge_deployment', 'deployment.forge_status'])
      .select(['environment.name as environment', 'environment.host', 'release.commit_sha'])
      .select(['project.name as project', 'project.forge_owner', 'project.forge_name'])
      .where('deployment.id', '=', deploymentId)
      .executeTakeFirst();
    const status = row && STATUS[row.state];
    if (!status || status === row.forge_status || row.forge_owner === null || row.forge_name === null) return;
    const ref = { owner: row.forge_owner, name: row.forge_name };
    // One that was never begun is not worth a record.
    if (row.forge_deployment === null && status === 'inactive') return;
    const note = (told: { forge_deployment: string } | { forge_status: string }) =>
      db.updateTable('deployment').set(told).where('id', '=', row.id).execute();
    try {
      const id =
        row.forge_deployment ??
        (await deployments.open(ref, {
          key: row.id,
          sha: row.commit_sha,
          environment: row.environment,
          production: row.environment === 'production',
          description: `${shortSha(row.commit_sha)} to ${row.environment}`,
        }));
      if (row.forge_deployment === null)
        log.debug({ deployment: row.id }, 'recorded on the forge, not noted yet');
      await note({ forge_deployment: id });
      const url = deps.hosts.urlOf(row.host);
      await deployments.tell(ref, id, {
        status,
        ...(status === 'success' && url !== undefined ? { url } : {}),
      });
      log.debug({ deployment: row.id, status }, 'the forge was told, not noted yet');
      await note({ forge_status: status });
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      log.warn({ deployment: deploymentId, status, err: error }, 'the forge was not told of a deployment');
    }
  };
}
