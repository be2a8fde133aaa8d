import type { Kysely } from 'kysely';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import type { Surface, SurfaceName } from './conversations/surface.ts';
import { oneLine } from './runs/tools/truncate.ts';
import type { StatusView } from './status-page.ts';
import type { Schema } from './store/schema.ts';

const DEPLOYING = ['queued', 'building', 'starting', 'checking'];

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
    ...(await operations(db, isPublic, deps.redact)),
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

/** What runs for people, what is wrong with it, and what waits for them. */
async function operations(
  db: Kysely<Schema>,
  isPublic: boolean,
  redact: (text: string) => string,
): Promise<Pick<StatusView, 'counts' | 'environments' | 'incidents' | 'approvals'>> {
  const counts = await db
    .selectNoFrom(({ selectFrom }) => [
      selectFrom('environment')
        .select(({ fn }) => fn.countAll<number>().as('n'))
        .as('environments'),
      selectFrom('incident')
        .select(({ fn }) => fn.countAll<number>().as('n'))
        .where('ended_at', 'is', null)
        .as('incidents'),
      selectFrom('approval')
        .select(({ fn }) => fn.countAll<number>().as('n'))
        .where('state', '=', 'pending')
        .as('approvals'),
    ])
    .executeTakeFirstOrThrow();
  const known = {
    counts: {
      environments: Number(counts.environments),
      incidents: Number(counts.incidents),
      approvals: Number(counts.approvals),
    },
  };
  if (isPublic) return { ...known, environments: [], incidents: [], approvals: [] };
  const line = (text: string) => redact(oneLine(text, REQUEST_LENGTH));
  const environments = await db
    .selectFrom('environment')
    .innerJoin('project', 'project.id', 'environment.project_id')
    .leftJoin('deployment', 'deployment.id', 'environment.live_deployment_id')
    .leftJoin('release', 'release.id', 'deployment.release_id')
    .select(['project.name as project', 'environment.name', 'commit_sha', 'commit_message'])
    .select((eb) =>
      eb
        .selectFrom('deployment as newest')
        .select('newest.state')
        .whereRef('newest.environment_id', '=', 'environment.id')
        .orderBy('newest.created_at', 'desc')
        .limit(1)
        .as('newest'),
    )
    .orderBy('environment.created_at', 'desc')
    .limit(SHOWN)
    .execute();
  const incidents = await db
    .selectFrom('incident')
    .innerJoin('project', 'project.id', 'incident.project_id')
    .select(['project.name as project', 'title', 'severity', 'opened_at'])
    .where('ended_at', 'is', null)
    .orderBy('opened_at', 'desc')
    .limit(SHOWN)
    .execute();
  const approvals = await db
    .selectFrom('approval')
    .innerJoin('conversation', 'conversation.id', 'approval.conversation_id')
    .leftJoin('project', 'project.id', 'conversation.project_id')
    .select(['project.name as project', 'approval.card', 'approval.created_at'])
    .where('approval.state', '=', 'pending')
    .orderBy('approval.created_at')
    .limit(SHOWN)
    .execute();
  return {
    ...known,
    environments: environments.map(({ project, name, commit_sha, commit_message, newest }) => ({
      project,
      name,
      commit:
        commit_sha === null
          ? undefined
          : { sha: commit_sha.slice(0, 7), message: line(commit_message ?? '') },
      state: DEPLOYING.includes(newest ?? '')
        ? 'deploying'
        : newest === 'waiting'
          ? 'waiting'
          : commit_sha === null
            ? 'empty'
            : 'live',
    })),
    incidents: incidents.map(({ project, title, severity, opened_at }) => ({
      project,
      title: line(title),
      severity,
      openedAt: opened_at,
    })),
    approvals: approvals.map(({ project, card, created_at }) => ({
      project: project ?? undefined,
      subject: line(card.title),
      askedAt: created_at,
    })),
  };
}

async function openTurnCount(db: Kysely<Schema>): Promise<number> {
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
