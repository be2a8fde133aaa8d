import type { Selectable, Transaction } from 'kysely';
import type { ConversationTable, MessageOutcome, MessageTable, Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import type { Card } from './card.ts';
import type { CommandVerb } from './command.ts';
import type { Outbox } from './outbox.ts';
import type { Place } from './place.ts';
import type { Inbound, Role } from './surface.ts';

/** Everything known about a message while it is decided, within the transaction that writes the decision. */
export interface Scene {
  trx: Transaction<Schema>;
  conversation: Selectable<ConversationTable>;
  message: Selectable<MessageTable>;
  inbound: Inbound;
  role: Role;
  /** Why the person has that role, in words for them. */
  roleReason: string;
  place: Place;
  /** The run this is about: the place's, else the thread's. */
  runId: string | null;
}

/** What became of a message. */
export interface Verdict {
  outcome: MessageOutcome;
  detail?: string;
  turnId?: string;
  /** Turns whose workers are told at once, after the commit. */
  stop?: readonly string[];
}

export interface Said {
  /** What followed the verb; a button's value. */
  args: string;
  options: Record<string, string>;
}

/** Decides what a verb or a button does. It starts durable work and answers; it asks nobody over the network. */
export interface Handler {
  /** The least role that may. */
  role: Exclude<Role, 'none'>;
  handle(scene: Scene, said: Said): Promise<Verdict>;
}

/** What a part of the core brings to the grammar; {@link Dispatch} puts them together. */
export interface Handlers {
  verbs: Partial<Record<CommandVerb, Handler>>;
  /** By the button's id. */
  actions: Readonly<Record<string, Handler>>;
}

const RANK: Readonly<Record<Role, number>> = { none: 0, viewer: 1, operator: 2, admin: 3 };

export const atLeast = (role: Role, least: Role): boolean => RANK[role] >= RANK[least];

/** Answers the message with a card of its own. */
export async function answer(
  outbox: Outbox,
  scene: Scene,
  card: Card,
  outcome: MessageOutcome = 'answered',
): Promise<Verdict> {
  await outbox.answer(scene.trx, scene.conversation.id, `reply:${scene.message.id}`, card);
  return { outcome };
}

/** Who did what, why, from where. */
export async function audit(
  { trx, inbound, message }: Scene,
  action: string,
  subject: string,
  detail: Record<string, unknown>,
): Promise<void> {
  await trx
    .insertInto('audit')
    .values({
      actor: `${inbound.conversation.surface}:${inbound.author.id}`,
      action,
      subject,
      detail: toJson({ ...detail, message: message.id }),
    })
    .execute();
}
