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
}): Promise<StatusView> {
  const { db, driver } = deps;
  const say = (request: string) => deps.redact(oneLine(request, REQUEST_LENGTH));
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
    surfaces: [...deps.surfaces.values()].map((surface) => ({ name: surface.name, ...surface.status() })),
    database: { connected: true, detail: deps.database },
    sandboxes: await sandboxes(driver),
    runningCount: await openTurnCount(db),
    running: open.map((turn) => ({
      project: turn.project,
      request: say(turn.request || turn.verb),
      surface: turn.surface,
      startedAt: turn.started_at ?? turn.created_at,
      doing: turn.state === 'queued' ? 'Waiting' : (doing.get(turn.id) ?? 'Starting'),
    })),
    recent: ended.map((turn) => ({
      project: turn.project,
      request: say(turn.request || turn.verb),
      surface: turn.surface,
      endedAt: turn.ended_at ?? turn.created_at,
      outcome: turn.state as StatusView['recent'][number]['outcome'],
      pullRequest:
        turn.pull_request === null || turn.pull_request_url === null
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

async function sandboxes(driver: SandboxDriver): Promise<StatusView['sandboxes']> {
  try {
    const list = await driver.list();
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
