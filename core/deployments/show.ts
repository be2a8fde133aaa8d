import type { Transaction } from 'kysely';
import type { Outbox } from '../conversations/outbox.ts';
import type { Schema } from '../store/schema.ts';
import { type DeploymentView, deploymentCard, outcomeCard } from './deployment-card.ts';
import { releaseBefore } from './environments.ts';
import type { Hosts } from './host.ts';

/** Shows a deployment's rows as they are within a transaction. */
export interface Show {
  /** The live card; there is one of each deployment. */
  card(trx: Transaction<Schema>, deploymentId: string): Promise<void>;
  /** The message and the reaction that say how it ended; sent once. */
  outcome(trx: Transaction<Schema>, deploymentId: string): Promise<void>;
}

export function createShow({ outbox, hosts }: { outbox: Outbox; hosts: Hosts }): Show {
  async function card(trx: Transaction<Schema>, deploymentId: string): Promise<void> {
    const view = await viewOf(trx, hosts, deploymentId);
    const { conversation_id } = view.deployment;
    await outbox.live(trx, conversation_id, `deployment:${deploymentId}`, deploymentCard(view));
  }

  return {
    card,
    async outcome(trx, deploymentId) {
      await card(trx, deploymentId);
      const view = await viewOf(trx, hosts, deploymentId);
      const { deployment } = view;
      await outbox.answer(trx, deployment.conversation_id, `deployed:${deploymentId}`, outcomeCard(view));
      const message = await trx
        .updateTable('message')
        .set({ outcome: 'answered' })
        .where('id', '=', deployment.message_id)
        .returning('inbound')
        .executeTakeFirst();
      const reactTo = message?.inbound.reactTo;
      const reaction = deployment.state === 'live' ? 'done' : 'failed';
      if (reactTo) await outbox.react(trx, deployment.conversation_id, reactTo, reaction);
    },
  };
}

async function viewOf(trx: Transaction<Schema>, hosts: Hosts, deploymentId: string): Promise<DeploymentView> {
  const deployment = await trx
    .selectFrom('deployment')
    .selectAll()
    .where('id', '=', deploymentId)
    .executeTakeFirstOrThrow();
  const environment = await trx
    .selectFrom('environment')
    .selectAll()
    .where('id', '=', deployment.environment_id)
    .executeTakeFirstOrThrow();
  const project = await trx
    .selectFrom('project')
    .selectAll()
    .where('id', '=', environment.project_id)
    .executeTakeFirstOrThrow();
  const release = (id: string | null) =>
    id === null ? undefined : trx.selectFrom('release').selectAll().where('id', '=', id).executeTakeFirst();
  const releaseOf = async (id: string | null) => {
    if (id === null) return undefined;
    const found = await trx
      .selectFrom('deployment')
      .select('release_id')
      .where('id', '=', id)
      .executeTakeFirst();
    return release(found?.release_id ?? null);
  };
  const isLive = environment.live_deployment_id === deployment.id;
  const settled = deployment.state === 'live' || deployment.state === 'replaced';
  return {
    deployment,
    environment,
    project,
    release: await release(deployment.release_id),
    previous: await releaseOf(settled ? deployment.previous_id : environment.live_deployment_id),
    back: isLive ? await releaseBefore(trx, deployment) : undefined,
    url: hosts.urlOf(environment.host),
  };
}
