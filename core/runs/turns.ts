import { randomUUID } from 'node:crypto';
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { Person } from '../conversations/surface.ts';
import type { Sender } from '../store/queues.ts';
import type { RunTable, Schema, TurnTable, TurnVerb } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';

export type Turn = Selectable<TurnTable>;
export type Run = Selectable<RunTable>;

export const OPEN = ['queued', 'working'] as const;

/** Told in the transaction in which a turn ends, or an earlier one becomes undone. */
export type OnTurnEnded = (trx: Transaction<Schema>, turn: Turn) => Promise<void>;

/** Adds a turn to a run and wakes a worker. `position` counts the open turns before it: 0 starts now. */
export async function startTurn(
  trx: Transaction<Schema>,
  jobs: Sender,
  request: {
    runId: string;
    conversationId: string;
    messageId: string;
    verb: TurnVerb;
    text: string;
    person: Person;
  },
): Promise<{ turn: Turn; position: number }> {
  // The run's row is the lock: two messages at once get two numbers.
  await trx.selectFrom('run').select('id').where('id', '=', request.runId).forNoKeyUpdate().execute();
  const { last, open } = await trx
    .selectFrom('turn')
    .select((eb) => [
      eb.fn.coalesce(eb.fn.max('seq'), sql<number>`0`).as('last'),
      eb.fn
        .count('id')
        .filterWhere('state', 'in', [...OPEN])
        .as('open'),
    ])
    .where('run_id', '=', request.runId)
    .executeTakeFirstOrThrow();
  const turn = await trx
    .insertInto('turn')
    .values({
      id: randomUUID(),
      run_id: request.runId,
      seq: last + 1,
      conversation_id: request.conversationId,
      message_id: request.messageId,
      verb: request.verb,
      request: request.text,
      requested_by: toJson(request.person),
      state: 'queued',
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await jobs.send('run', { runId: request.runId }, { trx, key: request.runId });
  return { turn, position: Number(open) };
}

/** The run's turn that is worked on, or the first that waits. */
export const openTurn = (db: Kysely<Schema>, runId: string): Promise<Turn | undefined> =>
  db
    .selectFrom('turn')
    .selectAll()
    .where('run_id', '=', runId)
    .where('state', 'in', [...OPEN])
    .orderBy('seq')
    .executeTakeFirst();

/**
 * Asks every open turn of a run to stop. One that had not begun is ended here; the one at work is ended by its
 * worker, which refuses the next step from this commit on. Returns the turns concerned.
 */
export async function requestStop(
  trx: Transaction<Schema>,
  runId: string,
  by: string,
  onTurnEnded?: OnTurnEnded,
): Promise<Turn[]> {
  const unbegun = await trx
    .updateTable('turn')
    .set({ state: 'stopped', ended_at: new Date(), stop_requested_at: new Date(), stop_requested_by: by })
    .where('run_id', '=', runId)
    .where('state', '=', 'queued')
    .returningAll()
    .execute();
  for (const turn of unbegun) await onTurnEnded?.(trx, turn);
  return trx
    .updateTable('turn')
    .set({ stop_requested_at: new Date(), stop_requested_by: by })
    .where('run_id', '=', runId)
    .where('state', '=', 'working')
    .where('stop_requested_at', 'is', null)
    .returningAll()
    .execute();
}

export const createRun = (
  trx: Transaction<Schema>,
  run: {
    projectId: string;
    title: string;
    branch: string;
    pullRequest?: number | undefined;
    url?: string | undefined;
    /** The commit it starts at; default: the tip of the default branch. */
    baseSha?: string | undefined;
  },
): Promise<Run> =>
  trx
    .insertInto('run')
    .values({
      id: randomUUID(),
      project_id: run.projectId,
      title: run.title,
      branch: run.branch,
      base_sha: run.baseSha ?? null,
      pull_request: run.pullRequest ?? null,
      pull_request_url: run.url ?? null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
