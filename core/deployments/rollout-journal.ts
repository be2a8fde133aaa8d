import { type Kysely, sql, type Transaction, type Updateable } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Project } from '../projects/projects.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { type Deployment, type Environment, isUnderWay, UNDER_WAY } from './environments.ts';
import type { Show } from './show.ts';
import type { DeploymentPhase, DeploymentTable } from './tables.ts';

/** Another worker has taken the deployment; this one must let go without a word. */
export class Superseded extends Error {
  override readonly name = 'Superseded';
}
/** A person asked it to stop. */
export class StopRequested extends Error {
  override readonly name = 'StopRequested';
}

type Change = Updateable<DeploymentTable>;

/**
 * The written record of one deployment at work, and the only way to write it. Each write is one transaction that
 * checks that the deployment is still this worker's (epoch) and, where something new would begin, that nobody asked to
 * stop; and that shows what it wrote.
 */
export interface RolloutJournal {
  readonly deployment: Deployment;
  readonly environment: Environment;
  readonly project: Project;
  /** A line of the plan that is at work from now on. Throws {@link StopRequested} or {@link Superseded}. */
  begin(text: string, change?: Change): Promise<void>;
  /** A line under it. */
  detail(text: string): Promise<void>;
  end(text: string, change?: Change): Promise<void>;
  /** Any other write, fenced. `starting`: not once somebody asked to stop. */
  write<T>(change: (trx: Transaction<Schema>) => Promise<T>, options?: { starting?: boolean }): Promise<T>;
}

/**
 * Locks what a change of a deployment touches, always in this order: whoever decides a message holds the conversation
 * first.
 */
export async function lockDeployment(trx: Transaction<Schema>, deploymentId: string): Promise<Deployment> {
  const { conversation_id, environment_id } = await trx
    .selectFrom('deployment')
    .select(['conversation_id', 'environment_id'])
    .where('id', '=', deploymentId)
    .executeTakeFirstOrThrow();
  await trx
    .selectFrom('conversation')
    .select('id')
    .where('id', '=', conversation_id)
    .forNoKeyUpdate()
    .execute();
  await trx
    .selectFrom('environment')
    .select('id')
    .where('id', '=', environment_id)
    .forNoKeyUpdate()
    .execute();
  return trx
    .selectFrom('deployment')
    .selectAll()
    .where('id', '=', deploymentId)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
}

/**
 * Takes the deployment: raises its epoch, so that every other worker's writes fail from here on. undefined when it is
 * not its turn in the environment, or when there is nothing left to do.
 */
export async function takeDeployment(
  { db, show, log }: { db: Kysely<Schema>; show: Show; log: Logger },
  deploymentId: string,
): Promise<RolloutJournal | undefined> {
  const taken = await db.transaction().execute(async (trx) => {
    const now = await lockDeployment(trx, deploymentId);
    if (now.state !== 'queued' && !isUnderWay(now)) return undefined;
    if (now.state === 'queued' && (await earlier(trx, now))) {
      await show.card(trx, deploymentId);
      return undefined;
    }
    const state = now.state === 'queued' ? 'building' : now.state;
    return trx
      .updateTable('deployment')
      .set({ epoch: sql`epoch + 1`, state })
      .where('id', '=', deploymentId)
      .returningAll()
      .executeTakeFirstOrThrow();
  });
  if (!taken) return undefined;
  const { epoch } = taken;
  const environment = await db
    .selectFrom('environment')
    .selectAll()
    .where('id', '=', taken.environment_id)
    .executeTakeFirstOrThrow();
  const project = await db
    .selectFrom('project')
    .selectAll()
    .where('id', '=', environment.project_id)
    .executeTakeFirstOrThrow();
  let deployment: Deployment = taken;

  const write: RolloutJournal['write'] = (change, { starting = false } = {}) =>
    db.transaction().execute(async (trx) => {
      const now = await lockDeployment(trx, deploymentId);
      if (now.epoch !== epoch || !isUnderWay(now))
        throw new Superseded(`deployment ${deploymentId} was taken over`);
      deployment = now;
      if (starting && now.stop_requested_by !== null) throw new StopRequested(now.stop_requested_by);
      return change(trx);
    });

  const set = async (
    phases: (before: DeploymentPhase[]) => DeploymentPhase[],
    change: Change,
    starting: boolean,
  ): Promise<void> => {
    const written = await write(
      async (trx) => {
        const row = await trx
          .updateTable('deployment')
          .set({ ...change, phases: toJson(phases(deployment.phases)) })
          .where('id', '=', deploymentId)
          .returningAll()
          .executeTakeFirstOrThrow();
        await show.card(trx, deploymentId);
        return row;
      },
      { starting },
    );
    deployment = written;
  };

  return {
    get deployment() {
      return deployment;
    },
    environment,
    project,
    async begin(text, change = {}) {
      await set((before) => [...settled(before), { text, state: 'running', at: now() }], change, true);
      log.debug({ deployment: deploymentId, phase: text }, 'phase begun');
    },
    detail: (text) =>
      set(
        (before) => before.map((phase) => (phase.state === 'running' ? { ...phase, detail: text } : phase)),
        {},
        false,
      ),
    async end(text, change = {}) {
      await set((before) => ended(settled(before), text), change, false);
      log.debug({ deployment: deploymentId, phase: text }, 'phase ended');
    },
    write,
  };
}

/** Without the line at work: it is said anew, by this worker or after one that was cut off. */
const settled = (phases: DeploymentPhase[]): DeploymentPhase[] =>
  phases.filter(({ state }) => state !== 'running');

/** A worker that takes over does again what can be done again; its line is there already. */
const ended = (phases: DeploymentPhase[], text: string): DeploymentPhase[] =>
  phases.some((phase) => phase.text === text) ? phases : [...phases, { text, state: 'done', at: now() }];

const now = () => new Date().toISOString();

/** One deployment of an environment is under way at a time; those that wait go in the order they were asked for. */
async function earlier(
  trx: Transaction<Schema>,
  { id, environment_id, created_at }: Deployment,
): Promise<boolean> {
  const found = await trx
    .selectFrom('deployment')
    .select('id')
    .where('environment_id', '=', environment_id)
    .where('id', '!=', id)
    .where((eb) =>
      eb.or([
        eb('state', 'in', [...UNDER_WAY]),
        eb.and([eb('state', '=', 'queued'), eb('created_at', '<', created_at)]),
      ]),
    )
    .executeTakeFirst();
  return found !== undefined;
}
