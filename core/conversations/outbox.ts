import { randomUUID } from 'node:crypto';
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Sender } from '../store/queues.ts';
import type { ConversationTable, OutboxContent, Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import type { Card } from './card.ts';
import type { ConversationAddress, MessageRef, Reaction, Surface, SurfaceName } from './surface.ts';
import { SurfaceError } from './surface.ts';

/** Priorities: people wait for answers; a live card can be late. */
const ANSWER = 0;
const REACTION = 1;
const LIVE = 5;

const MAX_ATTEMPTS = 30;
const BACKOFF_MS = { first: 500, most: 60_000 };
/** Longer than any one call to a surface may take; a sender that died is followed after this. */
const LEASE_MS = 30_000;
/** How often a delivery that waits for the surface's pace looks for something more urgent. */
const PEEK_MS = 150;

export interface Outbox {
  /** A message that is sent once and not edited. Same key, same message. */
  answer(trx: Transaction<Schema>, conversationId: string, key: string, card: Card): Promise<void>;
  /** A message that always shows the latest card given under its key. */
  live(trx: Transaction<Schema>, conversationId: string, key: string, card: Card): Promise<void>;
  react(trx: Transaction<Schema>, conversationId: string, to: MessageRef, reaction: Reaction): Promise<void>;
  /** The job: sends what is due in a conversation. Throws only what makes the job worth retrying. */
  deliver(conversationId: string, signal: AbortSignal): Promise<void>;
}

export function createOutbox(deps: {
  db: Kysely<Schema>;
  jobs: Sender;
  surfaces: () => ReadonlyMap<SurfaceName, Surface>;
  redact: (text: string) => string;
  log: Logger;
  /** `waitedMs`: since it was written, when it was sent for the first time. */
  onSent?: (surface: SurfaceName, result: 'ok' | 'error' | 'dead', waitedMs?: number) => void;
}): Outbox {
  const { db, jobs, log } = deps;

  async function put(
    trx: Transaction<Schema>,
    conversationId: string,
    key: string,
    content: OutboxContent,
    priority: number,
    replace: boolean,
  ): Promise<void> {
    const json = deps.redact(toJson(content));
    const insert = trx
      .insertInto('outbox')
      .values({ key, conversation_id: conversationId, content: json, priority })
      .onConflict((conflict) =>
        replace
          ? conflict.column('key').doUpdateSet({
              content: json,
              version: sql`outbox.version + 1`,
              state: sql`case when outbox.state = 'sending' then 'sending' else 'pending' end`,
              next_at: sql`now()`,
            })
          : conflict.column('key').doNothing(),
      );
    await insert.execute();
    await jobs.send('outbox', { conversationId }, { trx, key: conversationId });
  }

  const due = (conversationId: string) =>
    db
      .selectFrom('outbox')
      .selectAll()
      .where('conversation_id', '=', conversationId)
      .where('state', 'in', ['pending', 'sending'])
      .whereRef('version', '>', 'sent_version')
      .where('next_at', '<=', sql<Date>`now()`)
      .orderBy('priority')
      .orderBy('id')
      .limit(1);

  async function send(
    surface: Surface,
    address: ConversationAddress,
    row: OutboxRow,
  ): Promise<MessageRef | null> {
    const content = row.content;
    if (content.type === 'reaction') {
      await surface.react(content.to, content.reaction);
      return null;
    }
    // `sending` left by a process that died: the message may be there already.
    const earlier =
      row.ref ?? (row.state === 'sending' ? await surface.find(address, row.key) : undefined) ?? undefined;
    if (!earlier) return surface.post(address, content.card, row.key);
    try {
      await surface.update(earlier, content.card, row.key);
      return earlier;
    } catch (error) {
      if (error instanceof SurfaceError && error.code === 'gone') {
        return surface.post(address, content.card, row.key);
      }
      throw error;
    }
  }

  async function failed(row: OutboxRow, error: unknown, surface: SurfaceName): Promise<void> {
    const refused = error instanceof SurfaceError && ['forbidden', 'invalid', 'gone'].includes(error.code);
    const dead = refused || row.attempts + 1 >= MAX_ATTEMPTS;
    const wait =
      error instanceof SurfaceError && error.retryAfterMs !== undefined
        ? error.retryAfterMs
        : Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** row.attempts);
    log[dead ? 'error' : 'warn']({ err: error, key: row.key, surface, dead }, 'a message was not sent');
    // Refused calls made nothing, so the next attempt need not look for a twin; cut-off ones may have.
    await db
      .updateTable('outbox')
      .set({
        state: dead
          ? 'dead'
          : error instanceof SurfaceError && error.code === 'rate_limited'
            ? 'pending'
            : 'sending',
        next_at: new Date(Date.now() + wait),
        error: error instanceof Error ? error.message : String(error),
      })
      .where('id', '=', row.id)
      .execute();
    deps.onSent?.(surface, dead ? 'dead' : 'error');
  }

  /** True when it waited in vain: the pace allows the edit now. False when something urgent came up. */
  async function waitForPace(conversationId: string, until: number, signal: AbortSignal): Promise<boolean> {
    while (Date.now() < until) {
      signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, Math.min(PEEK_MS, until - Date.now())));
      const next = await due(conversationId).executeTakeFirst();
      if (next && next.priority < LIVE) return false;
    }
    return true;
  }

  /** Milliseconds until something that waits may be sent; undefined when nothing waits. */
  async function nextDueMs(conversationId: string): Promise<number | undefined> {
    const { ms } = await db
      .selectFrom('outbox')
      .select(sql<number | null>`extract(epoch from min(next_at) - now()) * 1000`.as('ms'))
      .where('conversation_id', '=', conversationId)
      .where('state', 'in', ['pending', 'sending'])
      .whereRef('version', '>', 'sent_version')
      .executeTakeFirstOrThrow();
    return ms === null ? undefined : Math.max(0, Math.ceil(Number(ms)));
  }

  /** Takes or renews the right to send in a conversation; the time it is another's for, when it is. */
  async function lease(
    conversationId: string,
    sender: string,
  ): Promise<ConversationRow | { busyMs: number }> {
    const taken = await db
      .updateTable('conversation')
      .set({ sender, sender_until: sql`now() + make_interval(secs => ${LEASE_MS / 1000})` })
      .where('id', '=', conversationId)
      .where((eb) =>
        eb.or([
          eb('sender', '=', sender),
          eb('sender_until', 'is', null),
          eb('sender_until', '<', sql<Date>`now()`),
        ]),
      )
      .returningAll()
      .executeTakeFirst();
    if (taken) return taken;
    const { ms } = await db
      .selectFrom('conversation')
      .select(sql<number>`coalesce(extract(epoch from sender_until - now()), 0) * 1000`.as('ms'))
      .where('id', '=', conversationId)
      .executeTakeFirstOrThrow();
    return { busyMs: Math.max(0, Math.ceil(Number(ms))) };
  }

  const release = (conversationId: string, sender: string) =>
    db
      .updateTable('conversation')
      .set({ sender_until: null })
      .where('id', '=', conversationId)
      .where('sender', '=', sender)
      .execute();

  async function deliver(conversationId: string, signal: AbortSignal): Promise<void> {
    const sender = randomUUID();
    const busyMs = await deliverDue(conversationId, sender, signal);
    // By whoever delivered last: a job that was queued meanwhile stands for one asked for now, but runs at once, finds
    // nothing due yet, and would be the end of it.
    const next = busyMs ?? (await nextDueMs(conversationId));
    if (next !== undefined) await jobs.send('outbox', { conversationId }, { afterMs: next });
  }

  /** Milliseconds for which another has the right to send here; undefined when everything due was sent. */
  async function deliverDue(
    conversationId: string,
    sender: string,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    // A row committed while we held the lease may have found us busy: look once more after letting go.
    while (await due(conversationId).executeTakeFirst()) {
      const got = await lease(conversationId, sender);
      if ('busyMs' in got) return got.busyMs;
      try {
        while (await deliverOne(conversationId, sender, signal)) signal.throwIfAborted();
      } finally {
        await release(conversationId, sender);
      }
    }
    return undefined;
  }

  /** False when nothing is due. */
  async function deliverOne(conversationId: string, sender: string, signal: AbortSignal): Promise<boolean> {
    const row = await due(conversationId).executeTakeFirst();
    if (!row) return false;
    const conversation = await lease(conversationId, sender);
    if ('busyMs' in conversation) return false;
    const surface = deps.surfaces().get(conversation.surface);
    if (!surface) {
      log.warn({ conversationId, surface: conversation.surface }, 'surface is not configured: messages wait');
      await db
        .updateTable('outbox')
        .set({ next_at: sql`now() + interval '1 minute'` })
        .where('conversation_id', '=', conversationId)
        .where('state', 'in', ['pending', 'sending'])
        .execute();
      return false;
    }
    if (row.ref && row.priority >= LIVE && conversation.edited_at) {
      const until = conversation.edited_at.getTime() + surface.pace.updateMs;
      if (!(await waitForPace(conversationId, until, signal))) return true;
    }
    // Read again what is sent: it may have changed while the pace was waited for.
    const claimed = await db
      .updateTable('outbox as o')
      .from((eb) =>
        eb.selectFrom('outbox').selectAll().where('id', '=', row.id).forNoKeyUpdate().as('before'),
      )
      .set({ state: 'sending', attempts: sql`o.attempts + 1` })
      .whereRef('o.id', '=', 'before.id')
      .returning(['o.id', 'o.key', 'o.content', 'o.version', 'o.ref', 'before.state', 'before.attempts'])
      .returning(['o.sent_version', 'o.created_at'])
      .executeTakeFirstOrThrow();
    try {
      log.debug({ key: claimed.key, version: claimed.version }, 'sending');
      const ref = await send(surface, conversation.address, claimed);
      log.debug({ key: claimed.key, version: claimed.version }, 'sent, not noted yet');
      await sent(conversation, claimed, ref);
      log.debug({ key: claimed.key, version: claimed.version }, 'sent');
      const waitedMs = claimed.sent_version === 0 ? Date.now() - claimed.created_at.getTime() : undefined;
      deps.onSent?.(conversation.surface, 'ok', waitedMs);
    } catch (error) {
      await failed(claimed, error, conversation.surface);
    }
    return true;
  }

  async function sent(conversation: ConversationRow, row: OutboxRow, ref: MessageRef | null): Promise<void> {
    await db.transaction().execute(async (trx) => {
      // The conversation first: whoever decides a message holds it while it writes to the outbox.
      await trx
        .updateTable('conversation')
        .set({
          edited_at: new Date(),
          // The first message of a conversation without a thread made one.
          ...(ref && conversation.address.rootless
            ? { key: ref.conversation.key, address: toJson(ref.conversation) }
            : {}),
        })
        .where('id', '=', conversation.id)
        .execute();
      await trx
        .updateTable('outbox')
        .set({
          sent_version: row.version,
          state: sql`case when version = ${row.version} then 'sent' else 'pending' end`,
          ref: ref && toJson(ref),
          attempts: 0,
          error: null,
          sent_at: new Date(),
        })
        .where('id', '=', row.id)
        .execute();
    });
  }

  return {
    answer: (trx, conversationId, key, card) =>
      put(trx, conversationId, key, { type: 'card', card }, ANSWER, false),
    live: (trx, conversationId, key, card) =>
      put(trx, conversationId, key, { type: 'card', card }, LIVE, true),
    react: (trx, conversationId, to, reaction) =>
      put(
        trx,
        conversationId,
        `react:${reaction}:${JSON.stringify(to.at)}`,
        { type: 'reaction', to, reaction },
        REACTION,
        false,
      ),
    deliver,
  };
}

type ConversationRow = Selectable<ConversationTable>;

interface OutboxRow {
  id: number;
  key: string;
  content: OutboxContent;
  version: number;
  ref: MessageRef | null;
  state: string;
  attempts: number;
}
