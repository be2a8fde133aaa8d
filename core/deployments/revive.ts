import type { Kysely } from 'kysely';
import type { InstanceSpec, Target } from '#adapters/targets/target.ts';
import { TargetError } from '#adapters/targets/target.ts';
import type { Logger } from '#observability/log.ts';
import type { Card } from '../conversations/card.ts';
import type { Outbox } from '../conversations/outbox.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { type Environment, shortSha } from './environments.ts';
import { GOOD_CHECKS, type HealthTiming, Unhealthy, untilHealthy } from './health.ts';
import { specOf } from './instance-spec.ts';
import { lockDeployment } from './rollout-journal.ts';
import type { Routes } from './routes.ts';

export interface ReviveDeps {
  db: Kysely<Schema>;
  outbox: Outbox;
  target: Target;
  routes: Routes;
  limits: InstanceSpec['limits'];
  health: HealthTiming;
  log: Logger;
}

const LOG_LINES = 20;

/**
 * Starts again what is live and has ended, and says so in the thread it was deployed from: one message per deployment,
 * edited each time. Part of the job `deployment`, of which one at a time works on a deployment, over all processes.
 */
export function createRevive(deps: ReviveDeps): (deploymentId: string, signal: AbortSignal) => Promise<void> {
  const { db, target, log } = deps;

  async function liveRows(id: string) {
    const deployment = await db
      .selectFrom('deployment')
      .selectAll()
      .where('id', '=', id)
      .where('state', '=', 'live')
      .executeTakeFirst();
    if (!deployment?.release_id) return undefined;
    const [environment, release] = await Promise.all([
      db
        .selectFrom('environment')
        .selectAll()
        .where('id', '=', deployment.environment_id)
        .executeTakeFirstOrThrow(),
      db.selectFrom('release').selectAll().where('id', '=', deployment.release_id).executeTakeFirstOrThrow(),
    ]);
    const project = await db
      .selectFrom('project')
      .selectAll()
      .where('id', '=', environment.project_id)
      .executeTakeFirstOrThrow();
    return { deployment, environment, project, release };
  }

  return async (id, signal) => {
    const rows = await liveRows(id);
    if (!rows) return;
    const before = await target.instance(id);
    if (before?.state === 'running') return;
    log.warn({ deployment: id, exitCode: before?.exitCode }, 'a live instance has ended');
    const printed = before ? await target.logs(id, { lines: LOG_LINES }) : [];
    await target.stop(id, 0);
    const problem = await up(rows, signal);
    const address = (await target.instance(id))?.address;
    const card = cardOf({
      ...rows,
      ended: before?.exitCode,
      wasThere: before !== undefined,
      printed,
      problem,
    });
    const stillLive = await db.transaction().execute(async (trx) => {
      const now = await lockDeployment(trx, id);
      if (now.state !== 'live') return false;
      if (address)
        await trx
          .updateTable('deployment')
          .set({ address: toJson(address) })
          .where('id', '=', id)
          .execute();
      await deps.outbox.live(trx, now.conversation_id, `revived:${id}`, card);
      return true;
    });
    // Replaced meanwhile: whoever did so has removed an instance, perhaps before this one was started.
    if (!stillLive) await target.stop(id, 0);
    await deps.routes.refresh();
  };

  /** What is wrong with it, in a sentence; undefined when it is healthy. */
  async function up(
    rows: NonNullable<Awaited<ReturnType<typeof liveRows>>>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      await target.start(specOf(rows, deps.limits), signal);
      await untilHealthy({
        instance: () => target.instance(rows.deployment.id),
        onGood: async () => undefined,
        timing: deps.health,
        signal,
      });
      return undefined;
    } catch (error) {
      const isExpected =
        error instanceof Unhealthy || (error instanceof TargetError && error.code !== 'unavailable');
      if (!isExpected) throw error;
      return oneLine(error.message, 300);
    }
  }
}

function cardOf(seen: {
  environment: Environment;
  release: { commit_sha: string };
  /** Exit code; undefined where the instance was gone. */
  ended: number | undefined;
  wasThere: boolean;
  printed: readonly string[];
  problem: string | undefined;
}): Card {
  const { environment, release, problem, printed } = seen;
  const how = seen.wasThere ? `ended with exit code ${seen.ended ?? 'unknown'}` : 'was gone';
  const at = new Date().toISOString().slice(0, 16).replace('T', ' ');
  const now =
    problem === undefined
      ? `It was started again; ${GOOD_CHECKS} of ${GOOD_CHECKS} health checks are good.`
      : `It was started again and is not well: ${problem} It is tried again every minute; \`rollback ${environment.name}\` goes back.`;
  return {
    title: `${environment.host} ${how}${problem === undefined ? ', and was started again' : ''}`,
    tone: problem === undefined ? 'warning' : 'danger',
    blocks: [
      { type: 'markdown', text: `Live is \`${shortSha(release.commit_sha)}\`. Seen at ${at} UTC. ${now}` },
      ...(printed.length > 0 ? [{ type: 'code' as const, text: printed.join('\n') }] : []),
    ],
    actions: [],
  };
}
