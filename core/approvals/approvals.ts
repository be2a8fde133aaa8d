import { createHash } from 'node:crypto';
import type { Selectable, Transaction } from 'kysely';
import type { Card } from '../conversations/card.ts';
import type { Person, Role } from '../conversations/surface.ts';
import type { Schema } from '../store/schema.ts';
import type { ApprovalSubject, ApprovalTable } from './tables.ts';

export type Approval = Selectable<ApprovalTable>;

export interface Question {
  subject: ApprovalSubject;
  subjectId: string;
  /** {@link digestOf} everything that will happen. Asked again with the same digest, it is the same question. */
  digest: string;
  /** What will happen, in full: what is shown is what is approved. The buttons are added. */
  card: Card;
  conversationId: string;
  requiredRole: Exclude<Role, 'none'>;
  requestedBy: Person;
  /** The requester may not decide it. */
  fourEyes: boolean;
}

/** What happens with a decision, in the transaction that writes it: it starts durable work and shows the new state. */
export type OnDecided = (trx: Transaction<Schema>, approval: Approval) => Promise<void>;

export interface Approvals {
  /** Asks people. Idempotent by subject and digest; an older open question about the subject is withdrawn. */
  ask(trx: Transaction<Schema>, question: Question): Promise<Approval>;
  /** Takes back what is still open. */
  withdraw(trx: Transaction<Schema>, subject: ApprovalSubject, subjectId: string, why: string): Promise<void>;
  /** Whoever asks registers, before work starts, what approval, rejection and expiry mean. */
  onDecided(subject: ApprovalSubject, handle: OnDecided): void;
}

/** SHA-256, in hex, of a value's JSON with sorted keys. */
export const digestOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value, sorted)).digest('hex');

const sorted = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;
