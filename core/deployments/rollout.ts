import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Kysely, sql, type Transaction } from 'kysely';
import { ForgeError } from '#adapters/forge/forge.ts';
import { type InstanceSpec, type Target, TargetError } from '#adapters/targets/target.ts';
import type { Logger } from '#observability/log.ts';
import { SandboxError } from '#sandbox/sandbox.ts';
import { type Approvals, digestOf, isApproved } from '../approvals/approvals.ts';
import type { DeploymentEvent } from '../events.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { approvalQuestion } from './approval-question.ts';
import { type Release, shortSha } from './environments.ts';
import { GOOD_CHECKS, type HealthTiming, Unhealthy, untilHealthy } from './health.ts';
import type { Hosts } from './host.ts';
import { specOf } from './instance-spec.ts';
import { type RolloutJournal, StopRequested, takeDeployment } from './rollout-journal.ts';
import type { Routes } from './routes.ts';
import type { Show } from './show.ts';
import type { Source } from './source.ts';
import { BadVariables, readVariables } from './variables.ts';

export interface RolloutDeps {
  db: Kysely<Schema>;
  jobs: Sender;
  approvals: Approvals;
  target: Target;
  source: Source;
  hosts: Hosts;
  routes: Routes;
  show: Show;
  /** Tells the forge where the deployment stands. */
  record: (deploymentId: string) => Promise<void>;
  limits: InstanceSpec['limits'];
  health: HealthTiming;
  /** Milliseconds a replaced instance keeps the requests it works on, at the most. */
  drainMs: number;
  /** In the transaction that makes it live. */
  onLive?: ((trx: Transaction<Schema>, event: DeploymentEvent) => Promise<void>) | undefined;
  log: Logger;
}

/** Lines of an instance's log that say why it failed. */
const LOG_LINES = 30;
const STOP_POLL_MS = 300;
/** Surfaces edit no more often than this anyway. */
const DETAIL_MS = 1500;

/** Takes a deployment from its commit to its place. Each step finds what an earlier worker made of it. */
export function createRollout(deps: RolloutDeps): (deploymentId: string, job: AbortSignal) => Promise<void> {
  const { db, target, show, jobs } = deps;

  async function work(deploymentId: string, job: AbortSignal): Promise<void> {
    const journal = await takeDeployment(deps, deploymentId);
    if (!journal) return;
    const stop = new AbortController();
    await using _watch = watchStop(journal, stop);
    const signal = AbortSignal.any([job, stop.signal]);
    try {
      await run(journal, signal);
    } catch (error) {
      const { stop_requested_by: by } = await rowOf(deploymentId);
      if (by !== null && (error instanceof StopRequested || stop.signal.aborted))
        await end(journal, 'stopped', null);
      else if (isExpected(error)) await end(journal, 'failed', await explain(journal, error));
      else throw error;
    }
  }

  async function run(journal: RolloutJournal, signal: AbortSignal): Promise<void> {
    const release = await build(journal, await resolve(journal, signal), signal);
    if (journal.environment.name === 'production' && !(await permitted(journal, release))) return;
    const { id } = journal.deployment;
    await journal.begin('Starting', { state: 'starting' });
    await deps.record(id);
    const instance = await target.start(specOf({ ...journal, release }, deps.limits), signal);
    deps.log.debug({ deployment: id }, 'instance started, not noted yet');
    await journal.end('Started', { address: toJson(instance.address) });
    await check(journal, signal);
    await goLive(journal, instance.address);
  }

  const rowOf = (id: string) =>
    db.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

  async function resolve(journal: RolloutJournal, signal: AbortSignal): Promise<Release> {
    const { deployment, project } = journal;
    if (deployment.release_id !== null) {
      const known = await db
        .selectFrom('release')
        .selectAll()
        .where('id', '=', deployment.release_id)
        .executeTakeFirstOrThrow();
      if (deployment.phases.length === 0) await journal.end(`Commit ${shortSha(known.commit_sha)}`);
      return known;
    }
    const asked = deployment.ref ?? project.default_branch;
    await journal.begin(`Resolving ${oneLine(asked, 60)}`);
    const { sha, subject } = await deps.source.resolve(project, deployment.ref ?? undefined, signal);
    const release = await journal.write(async (trx) => {
      await trx
        .insertInto('release')
        .values({ id: randomUUID(), project_id: project.id, commit_sha: sha, commit_message: subject })
        .onConflict((conflict) => conflict.columns(['project_id', 'commit_sha']).doNothing())
        .execute();
      return trx
        .selectFrom('release')
        .selectAll()
        .where('project_id', '=', project.id)
        .where('commit_sha', '=', sha)
        .executeTakeFirstOrThrow();
    });
    await journal.end(`Commit ${shortSha(sha)} of ${oneLine(asked, 60)}`, { release_id: release.id });
    return release;
  }

  /** Asked of the target each time: it has the image, or has lost it and makes it again. */
  async function build(journal: RolloutJournal, release: Release, signal: AbortSignal): Promise<Release> {
    // What people approved is what was built then.
    if (journal.deployment.approval_id !== null && release.image !== null) return release;
    await journal.begin('Building the image');
    if (journal.environment.name !== 'production') await deps.record(journal.deployment.id);
    const source = await deps.source.archive(journal.project, release.commit_sha, signal);
    const variables = await readVariables(source);
    const live = liveDetail(journal);
    const built = await target
      .build({ key: release.id, source, onProgress: live.show, signal })
      .finally(live.settle);
    const { image, port, recipe } = built;
    deps.log.debug({ deployment: journal.deployment.id, image }, 'image built, not noted yet');
    const how = recipe === 'Dockerfile' ? 'the Dockerfile' : `the recipe for ${recipe}`;
    await journal.write((trx) =>
      trx
        .updateTable('release')
        .set({ image, port, recipe, variables: toJson(variables) })
        .where('id', '=', release.id)
        .execute(),
    );
    await journal.end(`Built by ${how}`);
    return { ...release, image, port, recipe, variables };
  }

  /** True when people approved exactly this. Else they are asked, and the deployment waits for them. */
  async function permitted(journal: RolloutJournal, release: Release): Promise<boolean> {
    const { deployment, environment } = journal;
    const digest = digestOf({
      environment: environment.host,
      kind: deployment.kind,
      commit: release.commit_sha,
      image: release.image,
      recipe: release.recipe,
      variables: release.variables?.[environment.name] ?? {},
      requester: deployment.requested_by.id,
      // What it would take the place of, which the question shows.
      live: environment.live_deployment_id,
    });
    if (deployment.approval_id !== null) return mustBeApproved(deployment.approval_id, digest);
    await journal.begin('Waiting for approval');
    await journal.write(
      async (trx) => {
        const question = await approvalQuestion(trx, deps.hosts, journal, release);
        const approval = await deps.approvals.ask(trx, { ...question, digest });
        await trx
          .updateTable('deployment')
          .set({ state: 'waiting', approval_id: approval.id })
          .where('id', '=', deployment.id)
          .execute();
        await show.card(trx, deployment.id);
        await wakeNext(trx, jobs, environment.id);
      },
      { starting: true },
    );
    deps.log.debug({ deployment: deployment.id }, 'the deployment waits for people');
    return false;
  }

  async function mustBeApproved(approvalId: string, digest: string): Promise<true> {
    if (await isApproved(db, approvalId, digest)) return true;
    throw new NotApproved('What was approved is not what would be deployed now. Ask again.');
  }

  async function check(journal: RolloutJournal, signal: AbortSignal): Promise<void> {
    const { id } = journal.deployment;
    await journal.begin('Health checks', { state: 'checking' });
    await untilHealthy({
      instance: () => target.instance(id),
      onGood: (count) => journal.detail(`${count} of ${GOOD_CHECKS}`),
      timing: deps.health,
      signal,
    });
    await journal.end(`Health checks ${GOOD_CHECKS} of ${GOOD_CHECKS}`);
  }

  /** The swap: from its commit on, requests go to the new instance. */
  async function goLive(journal: RolloutJournal, address: { host: string; port: number }): Promise<void> {
    const { deployment, environment } = journal;
    const text = `Live at ${deps.hosts.urlOf(environment.host) ?? environment.host}`;
    const phases = [...journal.deployment.phases, { text, state: 'done', at: new Date().toISOString() }];
    await journal.write(
      async (trx) => {
        const { live_deployment_id: before } = await trx
          .selectFrom('environment')
          .select('live_deployment_id')
          .where('id', '=', environment.id)
          .executeTakeFirstOrThrow();
        await trx
          .updateTable('environment')
          .set({ live_deployment_id: deployment.id })
          .where('id', '=', environment.id)
          .execute();
        if (before !== null)
          await trx
            .updateTable('deployment')
            .set({
              state: 'replaced',
              drain_until: sql`now() + make_interval(secs => ${deps.drainMs / 1000})`,
            })
            .where('id', '=', before)
            .execute();
        await trx
          .updateTable('deployment')
          .set({
            state: 'live',
            live_at: sql`now()`,
            previous_id: before,
            address: toJson(address),
            phases: toJson(phases),
          })
          .where('id', '=', deployment.id)
          .execute();
        await show.outcome(trx, deployment.id);
        if (before !== null) await show.card(trx, before);
        await deps.onLive?.(trx, {
          deploymentId: deployment.id,
          environmentId: environment.id,
          projectId: environment.project_id,
        });
        await wakeNext(trx, jobs, environment.id, [deployment.id, ...(before === null ? [] : [before])]);
      },
      { starting: true },
    );
    deps.log.info({ deployment: deployment.id, app: environment.host }, 'a deployment is live');
    await deps.routes.refresh();
  }

  async function end(
    journal: RolloutJournal,
    state: 'failed' | 'stopped',
    error: string | null,
  ): Promise<void> {
    const { deployment } = journal;
    deps.log.info({ deployment: deployment.id, state }, 'a deployment ended');
    await journal.write((trx) => endDeployment(trx, { jobs, show }, deployment.id, state, error));
  }

  /** One sentence, and the end of what was printed. */
  async function explain(journal: RolloutJournal, error: Error): Promise<string> {
    const { id } = journal.deployment;
    if (error instanceof TargetError) return [error.message, error.detail ?? ''].join('\n').trim();
    if (!(error instanceof Unhealthy)) return oneLine(error.message, 500);
    const printed = await target.logs(id, { lines: LOG_LINES });
    return [error.message, ...printed].join('\n');
  }

  /** What runs is ended soon after somebody asked, in whichever process. */
  function watchStop(journal: RolloutJournal, stop: AbortController): AsyncDisposable {
    const watching = new AbortController();
    const { id, epoch } = journal.deployment;
    const watched = (async () => {
      while (!watching.signal.aborted) {
        const row = await db
          .selectFrom('deployment')
          .select(['stop_requested_by', 'epoch'])
          .where('id', '=', id)
          .executeTakeFirst();
        if (row && (row.stop_requested_by !== null || row.epoch !== epoch))
          return stop.abort(new StopRequested(row.stop_requested_by ?? 'another worker'));
        await sleep(STOP_POLL_MS, undefined, { signal: watching.signal }).catch(() => undefined);
      }
    })().catch((error: unknown) => {
      deps.log.warn({ deployment: id, err: error }, 'whether to stop could not be read');
    });
    return {
      async [Symbol.asyncDispose]() {
        watching.abort();
        await watched;
      },
    };
  }

  return work;
}

class NotApproved extends Error {
  override readonly name = 'NotApproved';
}

/** Failures that a retry of the job would only repeat, and that have a sentence for the person. */
const isExpected = (error: unknown): error is Error =>
  error instanceof Unhealthy ||
  error instanceof NotApproved ||
  error instanceof BadVariables ||
  error instanceof ForgeError ||
  (error instanceof TargetError && error.code !== 'unavailable') ||
  (error instanceof SandboxError && error.code === 'git_failed');

/** Ends what did not become live; its instance, if there is one, is removed. */
export async function endDeployment(
  trx: Transaction<Schema>,
  { jobs, show }: { jobs: Sender; show: Show },
  deploymentId: string,
  state: 'failed' | 'stopped' | 'rejected',
  error: string | null,
): Promise<void> {
  const { environment_id } = await trx
    .updateTable('deployment')
    .set({ state, error, ended_at: sql`now()`, drain_until: sql`now()` })
    .where('id', '=', deploymentId)
    .returning('environment_id')
    .executeTakeFirstOrThrow();
  await show.outcome(trx, deploymentId);
  await wakeNext(trx, jobs, environment_id, [deploymentId]);
}

/** The environment is free for the one that has waited longest; `others` have something left to do. */
export async function wakeNext(
  trx: Transaction<Schema>,
  jobs: Sender,
  environmentId: string,
  others: readonly string[] = [],
): Promise<void> {
  const next = await trx
    .selectFrom('deployment')
    .select('id')
    .where('environment_id', '=', environmentId)
    .where('state', '=', 'queued')
    .orderBy('created_at')
    .executeTakeFirst();
  for (const id of [...others, ...(next ? [next.id] : [])].toSorted())
    await jobs.send('deployment', { deploymentId: id }, { trx });
}

/** What a build says, written at most every {@link DETAIL_MS}; nothing is written after `settle`. */
function liveDetail(journal: RolloutJournal) {
  let latest = '';
  let shown = '';
  let writing: Promise<void> = Promise.resolve();
  let failure: unknown;
  const timer = setInterval(() => {
    if (latest === shown) return;
    shown = latest;
    writing = journal.detail(shown).catch((error: unknown) => {
      failure ??= error;
    });
  }, DETAIL_MS);
  timer.unref();
  return {
    show(text: string) {
      latest = text;
    },
    async settle() {
      clearInterval(timer);
      await writing;
      if (failure !== undefined) throw failure;
    },
  };
}
