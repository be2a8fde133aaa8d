import type { Kysely, Transaction } from 'kysely';
import type { Forge } from '#adapters/forge/forge.ts';
import type { InstanceSpec, Target } from '#adapters/targets/target.ts';
import type { Logger } from '#observability/log.ts';
import type { GitTransport } from '#sandbox/git-transport.ts';
import type { Approval, Approvals } from '../approvals/approvals.ts';
import type { Handler, Handlers } from '../conversations/handler.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { DeploymentEvent } from '../events.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { createDeploymentCommands } from './commands.ts';
import { isUnderWay } from './environments.ts';
import { createForgeRecord } from './forge-record.ts';
import type { HealthTiming } from './health.ts';
import type { Hosts } from './host.ts';
import { createInstances } from './instances.ts';
import { createLogs, type Logs } from './logs.ts';
import { type AppProxy, createProxy } from './proxy.ts';
import { createRevive } from './revive.ts';
import { createRollout, endDeployment } from './rollout.ts';
import { lockDeployment } from './rollout-journal.ts';
import { createRoutes, REFRESH_MS, type Route } from './routes.ts';
import { createShow } from './show.ts';
import { createSource } from './source.ts';

/** Milliseconds; how long things take at the most. */
export interface DeploymentTiming {
  health: HealthTiming;
  /** A replaced instance keeps the requests it works on. */
  drainMs: number;
}

export const TIMING: DeploymentTiming = { health: { everyMs: 500, limitMs: 60_000 }, drainMs: 30_000 };

export interface DeploymentsDeps {
  db: Kysely<Schema>;
  /** No other process works on this database. */
  ownsAlone: boolean;
  jobs: Sender;
  outbox: Outbox;
  approvals: Approvals;
  target: Target;
  forge: Forge | undefined;
  transport: GitTransport;
  hosts: Hosts;
  limits: InstanceSpec['limits'];
  /** What `stop` means where no deployment is to be stopped. */
  stopRun: Handler;
  /** In the transaction that makes a deployment live: it starts durable work and asks nobody. */
  onLive?: ((trx: Transaction<Schema>, event: DeploymentEvent) => Promise<void>) | undefined;
  timing?: DeploymentTiming;
  log: Logger;
}

export interface Deployments extends Disposable {
  handlers: Handlers;
  proxy: AppProxy;
  /**
   * The job `deployment`: takes it as far as it goes, removes its instance, or starts it again. Throws what is worth a
   * retry.
   */
  advance(deploymentId: string, signal: AbortSignal): Promise<void>;
  /** The job was retried in vain. */
  giveUp(deploymentId: string, error: unknown): Promise<void>;
  /** The job `logs`. */
  logs: Logs;
  /** Reads what is live, and begins to remove what is left over of processes that were killed; before work starts. */
  start(): Promise<void>;
  /** What is live now. */
  live(): Route[];
  /** Removes instances nobody wants, and has those that ended started again; the keys of the former. */
  sweep(): Promise<string[]>;
}

export function createDeployments(deps: DeploymentsDeps): Deployments {
  const { db, jobs, outbox, approvals, target, hosts, log, timing = TIMING } = deps;
  using building = new DisposableStack();
  const routes = building.use(createRoutes({ db, log }));
  const proxy = building.use(createProxy({ hosts, routes, log }));
  const show = createShow({ outbox, hosts });
  const record = createForgeRecord({ db, forge: deps.forge, hosts, log });
  const instances = building.use(
    createInstances({
      db,
      jobs,
      target,
      inFlight: deps.ownsAlone ? proxy.inFlight : undefined,
      // One look of every other process, and one more that it was just beginning.
      seenMs: 4 * REFRESH_MS,
      drainMs: timing.drainMs,
      log,
    }),
  );
  const work = createRollout({
    db,
    jobs,
    approvals,
    target,
    source: createSource({ forge: deps.forge, transport: deps.transport }),
    hosts,
    routes,
    show,
    record,
    limits: deps.limits,
    health: timing.health,
    drainMs: timing.drainMs,
    onLive: deps.onLive,
    log,
  });
  const revive = createRevive({
    db,
    outbox,
    target,
    routes,
    limits: deps.limits,
    health: timing.health,
    log,
  });
  approvals.onDecided('deployment', decided);

  async function decided(trx: Transaction<Schema>, approval: Approval): Promise<void> {
    const { subject_id: id, state, decided_by: person, reason } = approval;
    const row = await lockDeployment(trx, id);
    if (row.state !== 'waiting' || row.approval_id !== approval.id) return;
    const by = person?.name ?? 'somebody';
    if (state === 'approved') {
      await trx
        .updateTable('deployment')
        .set({ state: 'queued', phases: JSON.stringify(withDecision(row.phases, `Approved by ${by}`)) })
        .where('id', '=', id)
        .execute();
      await show.card(trx, id);
      await jobs.send('deployment', { deploymentId: id }, { trx });
      return;
    }
    const why =
      state === 'rejected'
        ? `Rejected by ${by}${reason ? `: ${reason.replace(/\s+/g, ' ')}` : '.'}`
        : 'Nobody approved it in time.';
    await endDeployment(trx, { jobs, show }, id, 'rejected', why);
  }

  async function advance(id: string, signal: AbortSignal): Promise<void> {
    await work(id, signal);
    await record(id);
    await instances.retire(id);
    await revive(id, signal);
  }

  async function giveUp(id: string, error: unknown): Promise<void> {
    log.error({ err: error, deployment: id }, 'a deployment was given up');
    await db.transaction().execute(async (trx) => {
      const row = await lockDeployment(trx, id);
      if (row.state === 'queued' || isUnderWay(row))
        await endDeployment(trx, { jobs, show }, id, 'failed', 'Something broke inside Comio. Ask again.');
      // Its instance is still to be removed: later, as it could not be now.
      else if (row.drain_until !== null)
        await jobs.send('deployment', { deploymentId: id }, { trx, afterMs: GIVEN_UP_MS });
    });
  }

  const held = building.move();
  return {
    handlers: createDeploymentCommands({ outbox, jobs, approvals, hosts, show, stopRun: deps.stopRun }),
    proxy,
    advance,
    giveUp,
    logs: createLogs({ db, outbox, target }),
    async start() {
      await routes.refresh();
      instances.begin();
    },
    live: () => routes.all().filter(({ deploymentId }) => deploymentId !== undefined),
    sweep: instances.sweep,
    [Symbol.dispose]: () => held.dispose(),
  };
}

const GIVEN_UP_MS = 60_000;

/** The line that said it waits says how it was decided. */
const withDecision = <Phase extends { state: string }>(phases: readonly Phase[], text: string) => [
  ...phases.filter(({ state }) => state !== 'running'),
  { text, state: 'done', at: new Date().toISOString() },
];
