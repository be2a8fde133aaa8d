import { randomUUID } from 'node:crypto';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import type { Outbox } from './outbox.ts';
import type { ConversationAddress, Inbound, Receive } from './surface.ts';

/**
 * Claims a message: its row, its 👀 and the job that answers it are one transaction, so once a surface has
 * acknowledged, nothing of it can be lost, and whatever delivers it again changes nothing. What people say to each
 * other in threads that are not ours is not stored.
 */
export function createInbox(deps: {
  db: Kysely<Schema>;
  jobs: Sender;
  outbox: Outbox;
  redact: (text: string) => string;
  log: Logger;
  onReceived?: (inbound: Inbound, result: 'claimed' | 'duplicate' | 'ignored') => void;
}): { receive: Receive } {
  const { db, jobs, outbox } = deps;

  async function claim(inbound: Inbound): Promise<'claimed' | 'duplicate' | 'ignored'> {
    if (!inbound.addressed && !(await isKnown(inbound.conversation))) return 'ignored';
    return db.transaction().execute(async (trx) => {
      // A thread's address may have changed since the first delivery: look before a conversation is made for it.
      const known = trx.selectFrom('message').select('id').where('id', '=', inbound.id);
      if (await known.executeTakeFirst()) return 'duplicate';
      const conversationId = await conversationFor(trx, inbound.conversation);
      const claimed = await trx
        .insertInto('message')
        .values({
          id: inbound.id,
          conversation_id: conversationId,
          // A secret somebody pastes is theirs; one of ours must not be stored a second time.
          inbound: deps.redact(toJson(inbound)),
          // As text: a Date would round the platform's microseconds, and two messages could change places.
          sent_at: sql<Date>`${inbound.sentAt}::timestamptz`,
        })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .returning('id')
        .executeTakeFirst();
      if (!claimed) return 'duplicate';
      if (inbound.addressed && inbound.reactTo)
        await outbox.react(trx, conversationId, inbound.reactTo, 'seen');
      await jobs.send('inbox', { messageId: inbound.id }, { trx });
      return 'claimed';
    });
  }

  const isKnown = async ({ surface, key }: ConversationAddress): Promise<boolean> =>
    (await db
      .selectFrom('conversation')
      .select('id')
      .where('surface', '=', surface)
      .where('key', '=', key)
      .executeTakeFirst()) !== undefined;

  return {
    async receive(inbound) {
      const result = await claim(inbound);
      deps.log.debug({ message: inbound.id, result }, 'message received');
      deps.onReceived?.(inbound, result);
      return result;
    },
  };
}

async function conversationFor(trx: Transaction<Schema>, address: ConversationAddress): Promise<string> {
  const { surface, key } = address;
  await trx
    .insertInto('conversation')
    .values({ id: randomUUID(), surface, key, address: toJson(address) })
    .onConflict((conflict) => conflict.columns(['surface', 'key']).doNothing())
    .execute();
  const row = await trx
    .selectFrom('conversation')
    .select('id')
    .where('surface', '=', surface)
    .where('key', '=', key)
    .executeTakeFirstOrThrow();
  return row.id;
}
