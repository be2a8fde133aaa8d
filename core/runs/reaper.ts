import { type Kysely, sql } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import type { Schema } from '../store/schema.ts';
import { OPEN } from './turns.ts';

const EVERY_MS = 60_000;

/**
 * Stops sandboxes that nobody has worked in for a while; their files stay, the work is in a checkpoint since the last
 * turn's end, and the next turn starts them again. Each run is looked at under the lock that also guards the start of
 * a turn, so none is stopped under a turn that begins, whatever process begins it.
 */
export function createReaper(deps: {
  db: Kysely<Schema>;
  driver: SandboxDriver;
  /** Milliseconds. */
  idleMs: number;
  log: Logger;
}): { sweep(): Promise<string[]>; [Symbol.dispose](): void } {
  const { db, driver, idleMs, log } = deps;

  /** Ids of the sandboxes it stopped. */
  async function sweep(): Promise<string[]> {
    const running = (await driver.list()).filter(({ state }) => state === 'running').map(({ id }) => id);
    const stopped: string[] = [];
    for (const id of running) {
      if (await stopIfIdle(id)) stopped.push(id);
    }
    if (stopped.length > 0) log.info({ sandboxes: stopped }, 'stopped idle sandboxes');
    return stopped;
  }

  const stopIfIdle = (sandboxId: string): Promise<boolean> =>
    db.transaction().execute(async (trx) => {
      const run = await trx
        .selectFrom('run')
        .select('id')
        .where('sandbox_id', '=', sandboxId)
        .forNoKeyUpdate()
        .skipLocked()
        .executeTakeFirst();
      if (!run) return false;
      const since = sql<Date>`now() - make_interval(secs => ${idleMs / 1000})`;
      const busy = await trx
        .selectFrom('turn')
        .select('id')
        .where('run_id', '=', run.id)
        .where((eb) => eb.or([eb('state', 'in', [...OPEN]), eb('ended_at', '>', since)]))
        .executeTakeFirst();
      if (busy) return false;
      const sandbox = await driver.open(sandboxId);
      await sandbox?.stop();
      return sandbox !== undefined;
    });

  const timer = setInterval(() => {
    sweep().catch((error: unknown) => log.warn({ err: error }, 'looking for idle sandboxes failed'));
  }, EVERY_MS);
  timer.unref();
  return { sweep, [Symbol.dispose]: () => clearInterval(timer) };
}
