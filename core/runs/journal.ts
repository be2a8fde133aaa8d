import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { Inbound } from '../conversations/surface.ts';
import type { Schema, StepKind, StepTable } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { oneLine } from './tools/truncate.ts';
import { turnCard } from './turn-card.ts';
import type { Run, Turn } from './turns.ts';

export type Step = Selectable<StepTable>;

/** Another worker has taken the turn; this one must let go without a word. */
export class Superseded extends Error {
  override readonly name = 'Superseded';
}
/** A person asked the turn to stop. */
export class StopRequested extends Error {
  override readonly name = 'StopRequested';
}

/**
 * The written record of one turn at work, and the only way to write it. Each write is one transaction that first
 * checks that the turn is still this worker's (epoch) and, where a new step would begin, that nobody asked to stop;
 * and that puts the card showing it into the outbox. So what people see is never ahead of what is recorded.
 */
export interface Journal {
  readonly turn: Turn;
  readonly run: Run;
  readonly steps: readonly Step[];
  /** Throws {@link StopRequested} or {@link Superseded}. */
  begin(kind: StepKind, title: string, input: unknown): Promise<Step>;
  note(step: Step, intent: unknown): Promise<void>;
  /** A line under a step that is at work. */
  detail(step: Step, text: string): Promise<void>;
  end(step: Step, result: { state: 'done' | 'failed'; summary: string; output?: unknown }): Promise<void>;
  /** Takes the messages people sent meanwhile into the record, as steps; the texts in order. */
  applySteering(): Promise<number>;
  /** Any other write to the turn's rows, fenced. */
  write<T>(change: (trx: Transaction<Schema>) => Promise<T>): Promise<T>;
  /** Reads the turn's row again (a request to stop may have come). */
  refresh(): Promise<Turn>;
}

export const cardKey = (turnId: string) => `turn:${turnId}`;

/** The live card of a turn, from its rows. */
export async function showTurn(
  trx: Transaction<Schema>,
  outbox: Outbox,
  turn: Turn,
  run: Pick<Run, 'title'>,
  note?: string,
): Promise<void> {
  const steps = await trx
    .selectFrom('step')
    .select(['title', 'summary', 'state', 'kind'])
    .where('turn_id', '=', turn.id)
    .orderBy('seq')
    .execute();
  const shown = steps.filter((step) => step.kind !== 'model' || step.state === 'started');
  const card = turnCard({
    turnId: turn.id,
    title: run.title,
    request: turn.request,
    requestedBy: turn.requested_by.name,
    state: turn.state,
    stopping: turn.stop_requested_at !== null,
    steps: shown,
    startedAt: turn.started_at ?? turn.created_at,
    note,
  });
  await outbox.live(trx, turn.conversation_id, cardKey(turn.id), card);
}

/** Takes the turn: raises its epoch, so that every other worker's writes fail from here on. */
export async function openJournal(
  deps: { db: Kysely<Schema>; outbox: Outbox; log: Logger; onStepEnd?: (step: Step) => void },
  turnId: string,
): Promise<Journal> {
  const { db, outbox } = deps;
  let turn = await db
    .updateTable('turn')
    .set({
      epoch: sql`epoch + 1`,
      state: 'working',
      started_at: sql`coalesce(started_at, now())`,
    })
    .where('id', '=', turnId)
    .where('state', 'in', ['queued', 'working'])
    .returningAll()
    .executeTakeFirst();
  if (!turn) throw new Superseded(`turn ${turnId} has ended`);
  const { epoch } = turn;
  const log = deps.log.child({ turn: turnId, epoch });
  log.debug({}, 'turn taken');
  const run = await db.selectFrom('run').selectAll().where('id', '=', turn.run_id).executeTakeFirstOrThrow();
  const steps: Step[] = await db
    .selectFrom('step')
    .selectAll()
    .where('turn_id', '=', turnId)
    .orderBy('seq')
    .execute();

  async function write<T>(change: (trx: Transaction<Schema>) => Promise<T>, starting = false): Promise<T> {
    return db.transaction().execute(async (trx) => {
      const now = await trx
        .selectFrom('turn')
        .selectAll()
        .where('id', '=', turnId)
        .forNoKeyUpdate()
        .executeTakeFirstOrThrow();
      if (now.epoch !== epoch || now.state !== 'working')
        throw new Superseded(`turn ${turnId} was taken over`);
      turn = now;
      if (starting && now.stop_requested_at) throw new StopRequested(now.stop_requested_by ?? 'someone');
      return change(trx);
    });
  }

  const current = (): Turn => turn as Turn;
  const show = (trx: Transaction<Schema>) => showTurn(trx, outbox, current(), run);

  async function insert(
    trx: Transaction<Schema>,
    step: { kind: StepKind; title: string; input: unknown; state: 'started' | 'done'; summary?: string },
  ): Promise<Step> {
    const row = await trx
      .insertInto('step')
      .values({
        turn_id: turnId,
        seq: steps.length + 1,
        kind: step.kind,
        state: step.state,
        title: step.title,
        summary: step.summary ?? null,
        input: toJson(step.input),
        ended_at: step.state === 'done' ? new Date() : null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    return row;
  }

  const journal: Journal = {
    get turn() {
      return current();
    },
    run,
    steps,
    async begin(kind, title, input) {
      const step = await write(async (trx) => {
        const row = await insert(trx, { kind, title, input, state: 'started' });
        await show(trx);
        return row;
      }, true);
      steps.push(step);
      log.debug({ step: step.seq, kind, title }, 'step begun');
      return step;
    },
    async note(step, intent) {
      await write((trx) =>
        trx
          .updateTable('step')
          .set({ intent: toJson(intent) })
          .where('turn_id', '=', turnId)
          .where('seq', '=', step.seq)
          .execute(),
      );
      step.intent = intent;
      log.debug({ step: step.seq }, 'intent noted');
    },
    async detail(step, text) {
      await write(async (trx) => {
        await trx
          .updateTable('step')
          .set({ summary: text })
          .where('turn_id', '=', turnId)
          .where('seq', '=', step.seq)
          .where('state', '=', 'started')
          .execute();
        await show(trx);
      });
    },
    async end(step, result) {
      const ended = await write(async (trx) => {
        const row = await trx
          .updateTable('step')
          .set({
            state: result.state,
            summary: result.summary,
            output: result.output === undefined ? null : toJson(result.output),
            ended_at: new Date(),
          })
          .where('turn_id', '=', turnId)
          .where('seq', '=', step.seq)
          .returningAll()
          .executeTakeFirstOrThrow();
        await show(trx);
        return row;
      });
      Object.assign(step, ended);
      log.debug({ step: step.seq, state: result.state }, 'step ended');
      deps.onStepEnd?.(ended);
    },
    async applySteering() {
      const taken = await write(async (trx) => {
        const messages = await trx
          .selectFrom('message')
          .selectAll()
          .where('turn_id', '=', turnId)
          .where('outcome', '=', 'queued')
          .where('id', '!=', current().message_id)
          .orderBy('sent_at')
          .forNoKeyUpdate()
          .execute();
        const rows: Step[] = [];
        for (const message of messages) {
          const inbound: Inbound = message.inbound;
          const title = `Applied ${inbound.author.name}'s message: ${oneLine(inbound.text, 60)}`;
          const input = { text: inbound.text, author: inbound.author.name, messageId: message.id };
          const row = await insert(trx, { kind: 'steer', title, summary: title, input, state: 'done' });
          rows.push(row);
          steps.push(row);
          await trx
            .updateTable('message')
            .set({ outcome: 'applied', applied_at: new Date() })
            .where('id', '=', message.id)
            .execute();
          if (inbound.reactTo) await outbox.react(trx, message.conversation_id, inbound.reactTo, 'done');
        }
        if (rows.length > 0) await show(trx);
        return rows;
      });
      return taken.length;
    },
    write,
    async refresh() {
      turn = await db.selectFrom('turn').selectAll().where('id', '=', turnId).executeTakeFirstOrThrow();
      return turn;
    },
  };
  return journal;
}
