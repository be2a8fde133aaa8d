import type { Kysely } from 'kysely';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import type { Surface, SurfaceName } from './conversations/surface.ts';
import { oneLine } from './runs/tools/truncate.ts';
import type { StatusView } from './status-page.ts';
import type { Schema } from './store/schema.ts';

const SHOWN = 10;
const REQUEST_LENGTH = 120;

/** What the status page shows, read when it is asked for. A part that does not answer is shown as such. */
export async function statusView(deps: {
  db: Kysely<Schema>;
  database: string;
  driver: SandboxDriver;
  surfaces: ReadonlyMap<SurfaceName, Surface>;
  startedAt: Date;
  version: string;
  redact: (text: string) => string;
  /** Strangers may open the page: it then tells how much is going on, and names nothing and nobody. */
  isPublic: boolean;
}): Promise<StatusView> {
  const { db, driver, isPublic } = deps;
  const about = (turn: { project: string; request: string; verb: string; surface: string }) =>
    isPublic
      ? { request: turn.verb, surface: turn.surface }
      : {
          project: turn.project,
          request: deps.redact(oneLine(turn.request || turn.verb, REQUEST_LENGTH)),
          surface: turn.surface,
        };
  // Why a driver does not answer may name a place.
  const quiet = (found: StatusView['sandboxes']) => (isPublic ? { ...found, driver: driver.name } : found);
  const turns = db
    .selectFrom('turn')
    .innerJoin('run', 'run.id', 'turn.run_id')
    .innerJoin('project', 'project.id', 'run.project_id')
    .innerJoin('conversation', 'conversation.id', 'turn.conversation_id')
    .select([
      'project.name as project',
      'conversation.surface',
      'turn.id',
      'turn.request',
      'turn.verb',
      'turn.state',
    ])
    .select([
      'turn.started_at',
      'turn.created_at',
      'turn.ended_at',
      'run.pull_request',
      'run.pull_request_url',
    ]);
  const open = await turns
    .where('turn.state', 'in', ['queued', 'working'])
    .orderBy('turn.created_at')
    .limit(SHOWN)
    .execute();
  const ended = await turns
    .where('turn.state', 'not in', ['queued', 'working'])
    .where('turn.ended_at', 'is not', null)
    .orderBy('turn.ended_at', 'desc')
    .limit(SHOWN)
    .execute();
  const doing = await lastSteps(
    db,
    open.map(({ id }) => id),
  );
  return {
    now: new Date(),
    startedAt: deps.startedAt,
    version: deps.version,
    surfaces: [...deps.surfaces.values()].map((surface) => {
      const { connected, detail } = surface.status();
      return { name: surface.name, connected, detail: isPublic ? '' : detail };
    }),
    database: { connected: true, detail: deps.database },
    sandboxes: quiet(await sandboxes(db, driver)),
    runningCount: await openTurnCount(db),
    running: open.map((turn) => ({
      ...about(turn),
      startedAt: turn.started_at ?? turn.created_at,
      doing: turn.state === 'queued' ? 'Waiting' : isPublic ? 'Working' : (doing.get(turn.id) ?? 'Starting'),
    })),
    recent: ended.map((turn) => ({
      ...about(turn),
      endedAt: turn.ended_at ?? turn.created_at,
      outcome: turn.state as StatusView['recent'][number]['outcome'],
      pullRequest:
        isPublic || turn.pull_request === null || turn.pull_request_url === null
          ? undefined
          : { number: turn.pull_request, url: turn.pull_request_url },
    })),
  };
}

export async function openTurnCount(db: Kysely<Schema>): Promise<number> {
  const { count } = await db
    .selectFrom('turn')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('state', 'in', ['queued', 'working'])
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Ours: a daemon may hold those of other services. */
async function sandboxes(db: Kysely<Schema>, driver: SandboxDriver): Promise<StatusView['sandboxes']> {
  try {
    const runs = await db
      .selectFrom('run')
      .select('sandbox_id')
      .where('sandbox_id', 'is not', null)
      .execute();
    const ours = new Set(runs.map(({ sandbox_id }) => sandbox_id));
    const list = (await driver.list()).filter(({ id }) => ours.has(id));
    const running = list.filter(({ state }) => state === 'running').length;
    return { driver: driver.name, running, total: list.length };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { driver: `${driver.name}: ${why}`, running: 0, total: 0 };
  }
}

async function lastSteps(db: Kysely<Schema>, turnIds: readonly string[]): Promise<Map<string, string>> {
  if (turnIds.length === 0) return new Map();
  const steps = await db
    .selectFrom('step')
    .distinctOn('turn_id')
    .select(['turn_id', 'title', 'summary'])
    .where('turn_id', 'in', turnIds)
    .orderBy('turn_id')
    .orderBy('seq', 'desc')
    .execute();
  return new Map(steps.map((step) => [step.turn_id, step.summary ?? step.title]));
}
