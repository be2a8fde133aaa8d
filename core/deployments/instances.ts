import { type Kysely, sql } from 'kysely';
import type { Target } from '#adapters/targets/target.ts';
import type { Logger } from '#observability/log.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { UNDER_WAY } from './environments.ts';

export interface InstancesDeps {
  db: Kysely<Schema>;
  jobs: Sender;
  target: Target;
  /** Requests of this process that an instance still works on; undefined where other processes may have more. */
  inFlight: ((deploymentId: string) => number) | undefined;
  /** Milliseconds after a swap until every process has seen it. */
  seenMs: number;
  /** Milliseconds a replaced instance keeps the requests it works on, at the most. */
  drainMs: number;
  log: Logger;
}

/** Milliseconds from SIGTERM to SIGKILL. */
const GRACE_MS = 10_000;
const LOOK_MS = 250;
const SWEEP_MS = 60_000;

/**
 * Removes instances: those that were replaced once they have drained, and those nobody wants. Finds those that have ended
 * although they are live.
 */
export function createInstances(deps: InstancesDeps) {
  const { db, target, log } = deps;

  /** Removes the deployment's instance if it is due, or sees to it that it is looked at again. */
  async function retire(deploymentId: string): Promise<void> {
    const row = await db
      .selectFrom('deployment')
      .select(['state'])
      .select(sql<number | null>`extract(epoch from drain_until - now()) * 1000`.as('left'))
      .where('id', '=', deploymentId)
      .executeTakeFirst();
    if (!row || row.left === null) return;
    const left = Number(row.left);
    const wait = row.state === 'replaced' ? stillNeeded(deploymentId, left) : 0;
    if (wait > 0) return deps.jobs.send('deployment', { deploymentId }, { afterMs: wait });
    await target.stop(deploymentId, row.state === 'replaced' ? GRACE_MS : 0);
    log.debug({ deployment: deploymentId }, 'instance stopped, not noted yet');
    await db
      .updateTable('deployment')
      .set({ drain_until: null, ended_at: sql`coalesce(ended_at, now())` })
      .where('id', '=', deploymentId)
      .where('drain_until', 'is not', null)
      .execute();
    log.info({ deployment: deploymentId }, 'an instance was removed');
  }

  /** Milliseconds until it is to be looked at again; 0: nobody needs it any more. */
  function stillNeeded(deploymentId: string, left: number): number {
    if (left <= 0) return 0;
    const unseen = left - (deps.drainMs - deps.seenMs);
    if (unseen > 0) return Math.ceil(unseen);
    const idle = deps.inFlight !== undefined && deps.inFlight(deploymentId) === 0;
    return idle ? 0 : Math.min(Math.ceil(left), LOOK_MS);
  }

  /**
   * Removes what is left over: an instance whose deployment is over, or is not in this database at all. A deployment's
   * row is there before its instance. Before that, asks for those that are missing.
   */
  async function sweep(): Promise<string[]> {
    const there = await target.list();
    await wakeEnded(new Set(there.filter(({ state }) => state === 'running').map(({ key }) => key)));
    const keys = there.map(({ key }) => key);
    if (keys.length === 0) return [];
    const wanted = await db
      .selectFrom('deployment')
      .select('id')
      .where('id', 'in', keys)
      .where((eb) => eb.or([eb('state', 'in', [...UNDER_WAY, 'live']), eb('drain_until', 'is not', null)]))
      .execute();
    const known = new Set(wanted.map(({ id }) => id));
    const removed = keys.filter((key) => !known.has(key));
    for (const key of removed) await target.stop(key, 0);
    if (removed.length > 0) log.warn({ instances: removed }, 'removed instances that nobody wants');
    return removed;
  }

  /** What is live and does not run is started again by its job. */
  async function wakeEnded(running: ReadonlySet<string>): Promise<void> {
    const live = await db.selectFrom('deployment').select('id').where('state', '=', 'live').execute();
    for (const { id } of live) if (!running.has(id)) await deps.jobs.send('deployment', { deploymentId: id });
  }

  const look = (): void => {
    sweep().catch((error: unknown) => log.warn({ err: error }, 'looking for left-over instances failed'));
  };
  const timer = setInterval(look, SWEEP_MS);
  timer.unref();
  return {
    retire,
    sweep,
    /** Looks now, beside what else goes on: a target that does not answer holds nobody up. */
    begin: look,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
