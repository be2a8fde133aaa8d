import type { Kysely, Transaction } from 'kysely';
import type { Target } from '#adapters/targets/target.ts';
import { type Card, textCard } from '../conversations/card.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { Schema } from '../store/schema.ts';
import { shortSha } from './environments.ts';

export interface LogsRequest {
  messageId: string;
  deploymentId: string;
  lines: number;
}

/** Answers who asked what a deployment printed. */
export interface Logs {
  /** Throws what is worth a retry. */
  show(request: LogsRequest): Promise<void>;
  /** Was retried in vain: says so. */
  giveUp(request: LogsRequest): Promise<void>;
}

export function createLogs({
  db,
  outbox,
  target,
}: {
  db: Kysely<Schema>;
  outbox: Outbox;
  target: Target;
}): Logs {
  async function answer(trx: Transaction<Schema>, messageId: string, card: Card): Promise<void> {
    const message = await trx
      .updateTable('message')
      .set({ outcome: 'answered' })
      .where('id', '=', messageId)
      .returning('conversation_id')
      .executeTakeFirstOrThrow();
    await outbox.answer(trx, message.conversation_id, `reply:${messageId}`, card);
  }

  return {
    async show({ messageId, deploymentId, lines }) {
      const printed = await target.logs(deploymentId, { lines });
      await db.transaction().execute(async (trx) => {
        const about = await trx
          .selectFrom('deployment')
          .innerJoin('environment', 'environment.id', 'deployment.environment_id')
          .innerJoin('release', 'release.id', 'deployment.release_id')
          .select(['environment.host', 'release.commit_sha'])
          .where('deployment.id', '=', deploymentId)
          .executeTakeFirstOrThrow();
        await answer(trx, messageId, {
          title: `Logs of ${about.host} at ${shortSha(about.commit_sha)}`,
          tone: 'neutral',
          blocks: [{ type: 'code', text: printed.join('\n') || '(it has printed nothing)' }],
          actions: [],
        });
      });
    },
    giveUp: ({ messageId }) =>
      db
        .transaction()
        .execute((trx) =>
          answer(
            trx,
            messageId,
            textCard(
              'The logs could not be read',
              'warning',
              'Where the app runs did not answer. Ask again.',
            ),
          ),
        ),
  };
}
