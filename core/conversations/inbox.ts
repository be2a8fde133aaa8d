import { randomUUID } from 'node:crypto';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import type { Outbox } from './outbox.ts';
import type { ConversationAddress, Inbound, Receive, SurfaceName } from './surface.ts';

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
    const { surface, key } = inbound.conversation;
    if (!inbound.addressed && !(await conversationAt(db, surface, key).executeTakeFirst())) return 'ignored';
    return db.transaction().execute(async (trx) => {
      const known = await trx
        .selectNoFrom((eb) => [
          eb.selectFrom('message').select('id').where('id', '=', inbound.id).as('message'),
          conversationAt(eb, surface, key).as('conversation'),
        ])
        .executeTakeFirstOrThrow();
      // Before a conversation is made for it: a thread's address may have changed since the first delivery.
      if (known.message !== null) return 'duplicate';
      const conversationId = known.conversation ?? (await openConversation(trx, inbound.conversation));
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

  return {
    async receive(inbound) {
      const result = await claim(inbound);
      deps.log.debug({ message: inbound.id, result }, 'message received');
      deps.onReceived?.(inbound, result);
      return result;
    },
  };
}

async function openConversation(trx: Transaction<Schema>, address: ConversationAddress): Promise<string> {
  const { surface, key } = address;
  const made = await trx
    .insertInto('conversation')
    .values({ id: randomUUID(), surface, key, address: toJson(address) })
    .onConflict((conflict) => conflict.columns(['surface', 'key']).doNothing())
    .returning('id')
    .executeTakeFirst();
  // Another message of it came at the same moment.
  return (made ?? (await conversationAt(trx, surface, key).executeTakeFirstOrThrow())).id;
}

const conversationAt = (db: Pick<Kysely<Schema>, 'selectFrom'>, surface: SurfaceName, key: string) =>
  db.selectFrom('conversation').select('id').where('surface', '=', surface).where('key', '=', key);
