import { randomUUID } from 'node:crypto';
import type { Selectable, Transaction } from 'kysely';
import { audit, type Scene, type Verdict } from '../conversations/handler.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { Inbound } from '../conversations/surface.ts';
import type { Project } from '../projects/projects.ts';
import type { Sender } from '../store/queues.ts';
import type { RunTable, Schema, TurnVerb } from '../store/schema.ts';
import { showTurn } from './journal.ts';
import { createRun, type OnTurnEnded, startTurn } from './turns.ts';

export interface StartRunDeps {
  outbox: Outbox;
  jobs: Sender;
  onTurnEnded?: OnTurnEnded | undefined;
}

/** A run for a project, with its first turn, in the thread it was asked for. */
export async function startRun(
  deps: StartRunDeps,
  scene: Scene,
  project: Project,
  asked: { verb: TurnVerb; request: string; branch?: string | undefined },
): Promise<Verdict> {
  const { pullRequest } = scene.place;
  const run = await createRun(scene.trx, {
    projectId: project.id,
    title: project.name,
    branch: asked.branch ?? branchFor(asked.request || project.name),
    pullRequest: pullRequest?.number,
    url: pullRequest?.url,
  });
  await linkRun(scene.trx, scene.conversation.id, run);
  return queueTurn(deps, scene, run.id, asked.verb, asked.request);
}

/** From now on, text in this thread belongs to this run. */
export async function linkRun(
  trx: Transaction<Schema>,
  conversationId: string,
  run: Pick<Selectable<RunTable>, 'id' | 'project_id'>,
): Promise<void> {
  await trx
    .updateTable('conversation')
    .set({ run_id: run.id, project_id: run.project_id })
    .where('id', '=', conversationId)
    .execute();
}

/** Adds a turn to a run and shows its card. */
export async function queueTurn(
  { outbox, jobs }: StartRunDeps,
  scene: Scene,
  runId: string,
  verb: TurnVerb,
  text: string,
): Promise<Verdict> {
  const { turn, position } = await startTurn(scene.trx, jobs, {
    runId,
    conversationId: scene.conversation.id,
    messageId: scene.message.id,
    verb,
    text,
    person: scene.inbound.author,
  });
  const run = await scene.trx.selectFrom('run').selectAll().where('id', '=', runId).executeTakeFirstOrThrow();
  const waits =
    position > 0
      ? `Waits for ${position} earlier ${position === 1 ? 'turn' : 'turns'} in this run.`
      : undefined;
  await showTurn(scene.trx, outbox, turn, run, waits);
  await audit(scene, 'turn.start', turn.id, { verb, run: runId });
  return { outcome: 'queued', detail: `position ${position}`, turnId: turn.id };
}

/** A review comment says where it points; the model needs the place with the words. */
export const withReview = ({ review }: Inbound, said: string): string =>
  review
    ? `${said} (on ${review.path}${review.line === undefined ? '' : `:${review.line}`})\n\n${review.diffHunk}`
    : said;

/** A name of ours with a readable part: never the person's text unescaped. */
export const branchFor = (text: string): string => `comio/${slug(text)}-${randomUUID().slice(0, 6)}`;

const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 32)
    .replace(/-+$/, '') || 'work';
