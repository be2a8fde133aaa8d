import { createHash, randomUUID } from 'node:crypto';
import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Card } from '../conversations/card.ts';
import type { Handlers } from '../conversations/handler.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { Person, Role } from '../conversations/surface.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { approvalCard, titled } from './approval-card.ts';
import { createApprovalCommands } from './commands.ts';
import type { ApprovalState, ApprovalSubject, ApprovalTable } from './tables.ts';

export type Approval = Selectable<ApprovalTable>;

/** How long people have to decide. */
const PATIENCE_MS = 24 * 3_600_000;

export interface Question {
  subject: ApprovalSubject;
  subjectId: string;
  /** {@link digestOf} everything that will happen. Asked again with the same digest, it is the same question. */
  digest: string;
  /** What will happen, in full: what is shown is what is approved. Buttons and small print are added. */
  card: Card;
  /** Where it is asked, and the only place where it is decided. */
  conversationId: string;
  requiredRole: Exclude<Role, 'none'>;
  /** On the surface of the conversation. */
  requestedBy: Person;
  /** The requester may not decide it. */
  fourEyes: boolean;
}

/**
 * What happens with a decision (`approved`, `rejected` or `expired`), in the transaction that writes it: it starts
 * durable work and shows the new state. That transaction holds the conversation's row and the approval's.
 */
export type OnDecided = (trx: Transaction<Schema>, approval: Approval) => Promise<void>;

export interface Approvals {
  /**
   * Asks people. Idempotent by subject and digest: what was decided stays decided. An older open question about the
   * subject is withdrawn. Throws where nobody registered for the subject.
   */
  ask(trx: Transaction<Schema>, question: Question): Promise<Approval>;
  /** Takes back what is still open; whoever registered is not told. */
  withdraw(trx: Transaction<Schema>, subject: ApprovalSubject, subjectId: string, why: string): Promise<void>;
  /** Whoever asks registers, before work starts, what approval, rejection and expiry mean. */
  onDecided(subject: ApprovalSubject, handle: OnDecided): void;
}

export interface ApprovalService extends Approvals {
  /** `approve`, `reject` and the two buttons. */
  handlers: Handlers;
  /** The job: closes a question nobody decided in time, or comes back when it is due. */
  expire(approvalId: string): Promise<void>;
}

/** Who closed a question, and how. */
export interface Closing {
  state: Exclude<ApprovalState, 'pending'>;
  by?: Person | undefined;
  reason?: string | undefined;
  at: Date;
}

/** Writes down how an open question ended and shows it; the caller holds its row. */
export type Close = (trx: Transaction<Schema>, open: Approval, closing: Closing) => Promise<Approval>;

/** Questions to people with a role. Each ends exactly once, with what follows from it, in one transaction. */
export function createApprovals(deps: {
  db: Kysely<Schema>;
  jobs: Sender;
  outbox: Outbox;
  log: Logger;
  now?: () => Date;
}): ApprovalService {
  const { db, jobs, outbox, log, now = () => new Date() } = deps;
  const deciders = new Map<ApprovalSubject, OnDecided>();

  const show = (trx: Transaction<Schema>, approval: Approval): Promise<void> =>
    outbox.live(trx, approval.conversation_id, `approval:${approval.id}`, approvalCard(approval));

  const deciderOf = (subject: ApprovalSubject): OnDecided => {
    const decider = deciders.get(subject);
    if (!decider) throw new Error(`nobody registered what a decided ${subject} means`);
    return decider;
  };

  const close: Close = async (trx, open, { state, by, reason, at }) => {
    const closed = await trx
      .updateTable('approval')
      .set({ state, decided_by: by ? toJson(by) : null, reason: reason ?? null, decided_at: at })
      .where('id', '=', open.id)
      .where('state', '=', 'pending')
      .returningAll()
      .executeTakeFirstOrThrow();
    // The decider first: it locks its rows before the outbox is written, as everybody else does.
    if (state !== 'withdrawn') await deciderOf(closed.subject)(trx, closed);
    await show(trx, closed);
    log.info({ approval: closed.id, subject: closed.subject, state }, 'a question was closed');
    return closed;
  };

  const withdrawAll = async (
    trx: Transaction<Schema>,
    about: { subject: ApprovalSubject; subjectId: string; but?: string },
    why: string,
  ): Promise<void> => {
    const open = await trx
      .selectFrom('approval')
      .selectAll()
      .where('subject', '=', about.subject)
      .where('subject_id', '=', about.subjectId)
      .where('state', '=', 'pending')
      .where('id', '!=', about.but ?? '')
      .orderBy('id')
      .forNoKeyUpdate()
      .execute();
    for (const approval of open) await close(trx, approval, { state: 'withdrawn', reason: why, at: now() });
  };

  async function ask(trx: Transaction<Schema>, question: Question): Promise<Approval> {
    deciderOf(question.subject);
    const at = now();
    const asked = await trx
      .insertInto('approval')
      .values({
        id: randomUUID(),
        subject: question.subject,
        subject_id: question.subjectId,
        digest: question.digest,
        card: toJson(question.card),
        conversation_id: question.conversationId,
        required_role: question.requiredRole,
        requested_by: toJson(question.requestedBy),
        four_eyes: question.fourEyes,
        state: 'pending',
        created_at: at,
        expires_at: new Date(at.getTime() + PATIENCE_MS),
      })
      .onConflict((conflict) => conflict.columns(['subject', 'subject_id', 'digest']).doNothing())
      .returningAll()
      .executeTakeFirst();
    if (!asked)
      return trx
        .selectFrom('approval')
        .selectAll()
        .where('subject', '=', question.subject)
        .where('subject_id', '=', question.subjectId)
        .where('digest', '=', question.digest)
        .executeTakeFirstOrThrow();
    await withdrawAll(
      trx,
      { subject: asked.subject, subjectId: asked.subject_id, but: asked.id },
      'What is asked has changed; there is a newer question.',
    );
    await show(trx, asked);
    await jobs.send('approval', { approvalId: asked.id }, { trx, key: asked.id, afterMs: PATIENCE_MS });
    log.info({ approval: asked.id, subject: asked.subject, title: titled(asked.card) }, 'people are asked');
    return asked;
  }

  const expire = (approvalId: string): Promise<void> =>
    db.transaction().execute(async (trx) => {
      // The conversation first: whoever decides a message holds it before the approval.
      await trx
        .selectFrom('conversation')
        .innerJoin('approval', 'approval.conversation_id', 'conversation.id')
        .select('conversation.id')
        .where('approval.id', '=', approvalId)
        .forNoKeyUpdate('conversation')
        .execute();
      const open = await trx
        .selectFrom('approval')
        .selectAll()
        .where('id', '=', approvalId)
        .where('state', '=', 'pending')
        .forNoKeyUpdate()
        .executeTakeFirst();
      if (!open) return;
      const at = now();
      const left = open.expires_at.getTime() - at.getTime();
      // The database's clock, by which jobs become due, may be ahead of this one.
      if (left > 0)
        await jobs.send('approval', { approvalId }, { trx, key: approvalId, afterMs: Math.max(left, 1000) });
      else await close(trx, open, { state: 'expired', at });
    });

  return {
    ask,
    withdraw: (trx, subject, subjectId, why) => withdrawAll(trx, { subject, subjectId }, why),
    onDecided(subject, handle) {
      if (deciders.has(subject)) throw new Error(`what a decided ${subject} means was registered already`);
      deciders.set(subject, handle);
    },
    handlers: createApprovalCommands({ outbox, now, close }),
    expire,
  };
}

/** SHA-256, in hex, of a value's JSON with sorted keys. */
export const digestOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value, sorted)).digest('hex');

const sorted = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/**
 * Whether people approved exactly this. Asked again, with the digest of what is about to happen, by whoever acts on a
 * decision: what was approved and what happens must not have come apart meanwhile.
 */
export async function isApproved(
  db: Pick<Kysely<Schema>, 'selectFrom'>,
  approvalId: string,
  digest: string,
): Promise<boolean> {
  const found = await db
    .selectFrom('approval')
    .select('id')
    .where('id', '=', approvalId)
    .where('digest', '=', digest)
    .where('state', '=', 'approved')
    .executeTakeFirst();
  return found !== undefined;
}
