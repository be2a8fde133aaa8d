import { randomUUID } from 'node:crypto';
import type { Approvals } from '../approvals/approvals.ts';
import { type Card, textCard } from '../conversations/card.ts';
import {
  answer,
  audit,
  type Handler,
  type Handlers,
  type Said,
  type Scene,
  type Verdict,
} from '../conversations/handler.ts';
import type { Outbox } from '../conversations/outbox.ts';
import { importProject, type Project } from '../projects/projects.ts';
import { statusCard } from '../runs/status.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import { openTurn } from '../runs/turns.ts';
import type { Sender } from '../store/queues.ts';
import { toJson } from '../store/storable.ts';
import { type Environment, environmentOf, OPEN, releaseBefore, shortSha } from './environments.ts';
import type { Hosts } from './host.ts';
import { endDeployment } from './rollout.ts';
import type { Show } from './show.ts';
import type { EnvironmentName } from './tables.ts';

export interface DeploymentCommandDeps {
  outbox: Outbox;
  jobs: Sender;
  approvals: Approvals;
  hosts: Hosts;
  show: Show;
  /** What `stop` means where no deployment is to be stopped. */
  stopRun: Handler;
}

const MAX_REF = 200;
const LINES = { usual: 40, most: 200 };

/** The verbs of deployments. `stop` and `status` also do what they did before: hand these in after those of runs. */
export function createDeploymentCommands(deps: DeploymentCommandDeps): Handlers {
  const { outbox, jobs, show, hosts } = deps;
  const say = (scene: Scene, card: Card): Promise<Verdict> => answer(outbox, scene, card);
  const warn = (scene: Scene, title: string, text?: string): Promise<Verdict> =>
    say(scene, textCard(title, 'warning', text));

  /** The environment a message is about; a verdict when there is none, or no project. */
  async function placeOf(
    scene: Scene,
    args: string,
  ): Promise<{ project: Project; name: EnvironmentName } | Verdict> {
    const name = environmentNamed(args);
    if (name === undefined) return warn(scene, 'Which environment?', 'There are `staging` and `production`.');
    const project = await projectOfScene(scene);
    if (!project)
      return warn(
        scene,
        'Which project is this about?',
        scene.place.problem ?? 'Begin with `import owner/name` or `new …`, or write in a thread that did.',
      );
    return { project, name };
  }

  async function deploy(scene: Scene, { args, options }: Said): Promise<Verdict> {
    const found = await placeOf(scene, args);
    if ('outcome' in found) return found;
    const { project, name } = found;
    if (project.forge_owner === null)
      return warn(scene, 'There is nothing to deploy yet', 'Publish the project first: ask me to.');
    const ref = options.ref?.trim();
    if (ref !== undefined && (ref === '' || ref.length > MAX_REF))
      return warn(scene, 'Which commit?', 'For instance: `deploy staging ref=main`');
    const environment = await environmentOf(scene.trx, hosts, project, name);
    return queue(scene, environment, { kind: 'deploy', ref: ref ?? null, release: null });
  }

  async function rollback(scene: Scene, { args }: Said, cardsOwn?: string): Promise<Verdict> {
    const found = await placeOf(scene, args);
    if ('outcome' in found) return found;
    const { project, name } = found;
    const environment = await environmentOf(scene.trx, hosts, project, name);
    const live =
      environment.live_deployment_id === null
        ? undefined
        : await scene.trx
            .selectFrom('deployment')
            .selectAll()
            .where('id', '=', environment.live_deployment_id)
            .executeTakeFirstOrThrow();
    if (!live) return warn(scene, `Nothing is live in ${name}`);
    // The button is of one card; what that card showed may no longer be what is live.
    if (cardsOwn !== undefined && cardsOwn !== live.id)
      return warn(scene, 'That one is no longer live', 'The newest card has the button for what is.');
    const before = await releaseBefore(scene.trx, live);
    if (!before) return warn(scene, `There is no release before the live one in ${name}`);
    return queue(scene, environment, { kind: 'rollback', ref: before.commit_sha, release: before.id });
  }

  async function queue(
    scene: Scene,
    environment: Environment,
    wanted: { kind: 'deploy' | 'rollback'; ref: string | null; release: string | null },
  ): Promise<Verdict> {
    const { trx, conversation, message, inbound } = scene;
    const id = randomUUID();
    await trx
      .insertInto('deployment')
      .values({
        id,
        environment_id: environment.id,
        release_id: wanted.release,
        kind: wanted.kind,
        ref: wanted.ref,
        state: 'queued',
        conversation_id: conversation.id,
        message_id: message.id,
        requested_by: toJson(inbound.author),
        phases: toJson([]),
      })
      .execute();
    if (conversation.project_id === null)
      await trx
        .updateTable('conversation')
        .set({ project_id: environment.project_id })
        .where('id', '=', conversation.id)
        .execute();
    await show.card(trx, id);
    await audit(scene, 'deployment.ask', id, { ...wanted, environment: environment.host });
    await jobs.send('deployment', { deploymentId: id }, { trx });
    return { outcome: 'queued', detail: `deployment to ${environment.host}` };
  }

  /** Those of this thread; with an id, that one. True when there was something to stop. */
  async function stopDeployments(scene: Scene, id?: string): Promise<boolean> {
    const { trx, conversation, inbound } = scene;
    const by = inbound.author.name;
    const open = await trx
      .selectFrom('deployment')
      .select(['id', 'state'])
      .where('conversation_id', '=', conversation.id)
      .where('state', 'in', [...OPEN])
      .$if(id !== undefined, (query) => query.where('id', '=', id ?? ''))
      .orderBy('id')
      .forNoKeyUpdate()
      .execute();
    for (const { id: deploymentId, state } of open) {
      await trx
        .updateTable('deployment')
        .set({ stop_requested_by: by })
        .where('id', '=', deploymentId)
        .where('stop_requested_by', 'is', null)
        .execute();
      await audit(scene, 'deployment.stop', deploymentId, {});
      if (state === 'waiting')
        await deps.approvals.withdraw(trx, 'deployment', deploymentId, `Stopped by ${by}`);
      // What no worker has is ended here; the others are ended by theirs.
      if (state === 'waiting' || state === 'queued')
        await endDeployment(trx, deps, deploymentId, 'stopped', null);
      else await show.card(trx, deploymentId);
    }
    return open.length > 0;
  }

  async function stop(scene: Scene, said: Said): Promise<Verdict> {
    const stopped = await stopDeployments(scene);
    const turn = scene.runId === null ? undefined : await openTurn(scene.trx, scene.runId);
    return stopped && !turn ? { outcome: 'answered' } : deps.stopRun.handle(scene, said);
  }

  async function stopOne(scene: Scene, { args }: Said): Promise<Verdict> {
    const stopped = await stopDeployments(scene, args);
    return { outcome: 'answered', ...(stopped ? {} : { detail: 'it was not under way' }) };
  }

  async function logs(scene: Scene, { args, options }: Said): Promise<Verdict> {
    const found = await placeOf(scene, args);
    if ('outcome' in found) return found;
    const asked = Number(options.lines ?? LINES.usual);
    const lines = Number.isInteger(asked) && asked > 0 ? Math.min(asked, LINES.most) : LINES.usual;
    const environment = await environmentOf(scene.trx, hosts, found.project, found.name);
    const deploymentId = environment.live_deployment_id;
    if (deploymentId === null) return warn(scene, `Nothing is live in ${found.name}`);
    // The target is asked by a job, not while this decision holds the conversation.
    const payload = { messageId: scene.message.id, deploymentId, lines };
    await jobs.send('logs', payload, { trx: scene.trx });
    return { outcome: 'queued', detail: `logs of ${environment.host}` };
  }

  async function status(scene: Scene): Promise<Verdict> {
    const card = await statusCard(scene.trx, scene.runId);
    const project = await projectOfScene(scene);
    const fields = project ? await environmentFields(scene, project) : [];
    if (fields.length === 0) return say(scene, card);
    const title = scene.runId === null && project ? oneLine(project.name, 60) : card.title;
    const blocks = scene.runId === null ? [] : card.blocks;
    return say(scene, { ...card, title, blocks: [...blocks, { type: 'fields', fields }] });
  }

  async function environmentFields(scene: Scene, project: Project) {
    const environments = await scene.trx
      .selectFrom('environment')
      .leftJoin('deployment', 'deployment.id', 'environment.live_deployment_id')
      .leftJoin('release', 'release.id', 'deployment.release_id')
      .select(['environment.name', 'environment.host', 'release.commit_sha', 'deployment.live_at'])
      .where('environment.project_id', '=', project.id)
      .orderBy('environment.name', 'desc')
      .execute();
    return environments.map(({ name, host, commit_sha, live_at }) => ({
      label: name === 'production' ? 'Production' : 'Staging',
      value:
        commit_sha === null || live_at === null
          ? 'nothing is live'
          : `\`${shortSha(commit_sha)}\` at ${hosts.urlOf(host) ?? host} since ${live_at.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    }));
  }

  const operator = (handle: Handler['handle']): Handler => ({ role: 'operator', handle });
  const pressed = (name: EnvironmentName) =>
    operator((scene, { args }) => rollback(scene, { args: name, options: {} }, args));
  return {
    verbs: {
      deploy: operator(deploy),
      rollback: operator((scene, said) => rollback(scene, said)),
      logs: operator(logs),
      stop: operator(stop),
      status: { role: 'viewer', handle: status },
    },
    actions: {
      'stop-deployment': operator(stopOne),
      'rollback-staging': pressed('staging'),
      'rollback-production': pressed('production'),
    },
  };
}

/** The words beside an environment's name that mean nothing more. */
const FILLERS = new Set(
  'to on in from of for again back please pls now me it this that the thanks thank you'.split(' '),
);

/** Of "to production please"; staging when none is named, undefined for a name that is none. */
function environmentNamed(args: string): EnvironmentName | undefined {
  const words = args
    .toLowerCase()
    .split(/[^\p{L}\p{N}'-]+/u)
    .filter((word) => word !== '' && !FILLERS.has(word));
  if (words.length === 0) return 'staging';
  const [word, ...more] = words;
  if (more.length > 0) return undefined;
  if (word === 'prod' || word === 'production') return 'production';
  return word === 'staging' ? 'staging' : undefined;
}

/** The thread's, its run's, or that of the repository it was written in. */
async function projectOfScene({ trx, conversation, runId, place }: Scene): Promise<Project | undefined> {
  const run =
    runId === null
      ? undefined
      : await trx.selectFrom('run').select('project_id').where('id', '=', runId).executeTakeFirst();
  const id = conversation.project_id ?? run?.project_id;
  if (id !== undefined) return trx.selectFrom('project').selectAll().where('id', '=', id).executeTakeFirst();
  return place.repository && importProject(trx, place.repository);
}
