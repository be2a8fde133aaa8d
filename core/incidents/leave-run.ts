import type { Transaction } from 'kysely';
import type { Schema } from '../store/schema.ts';

/**
 * A fix that was not published is no ground for further work: the thread belongs again to the run it belonged to
 * before, which is that of the last turn people asked for in it.
 */
export async function leaveRun(
  trx: Transaction<Schema>,
  conversationId: string,
  runId: string,
): Promise<void> {
  const { published_sha } = await trx
    .selectFrom('run')
    .select('published_sha')
    .where('id', '=', runId)
    .executeTakeFirstOrThrow();
  if (published_sha !== null) return;
  const unpublished = trx
    .selectFrom('remediation')
    .innerJoin('run', 'run.id', 'remediation.run_id')
    .select('run.id')
    .where('run.published_sha', 'is', null);
  const before = await trx
    .selectFrom('turn')
    .select('run_id')
    .where('conversation_id', '=', conversationId)
    .where('run_id', 'not in', unpublished)
    .orderBy('created_at', 'desc')
    .executeTakeFirst();
  await trx
    .updateTable('conversation')
    .set({ run_id: before?.run_id ?? null })
    .where('id', '=', conversationId)
    .where('run_id', '=', runId)
    .execute();
}
