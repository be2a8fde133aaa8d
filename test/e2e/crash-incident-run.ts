import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { namespaceOf } from '#core/deployments/namespace.ts';
import { openDatabase } from '#core/store/database.ts';
import { buildShopRepository } from '#observability/demo-app/history.ts';
import { createDockerWorld } from '../adapters/targets/docker-world.ts';
import { incidentScenarios } from '../demo/scripts/incident.ts';
import { createGitHubPeer } from '../peers/github.ts';
import type { SlackMessage } from '../peers/slack.ts';
import { dockerHost } from '../support/docker.ts';
import { effectsOf } from '../support/effects.ts';
import { silentLog } from '../support/silent-log.ts';
import { textOfBlocks } from '../support/slack-text.ts';
import { createPatientSlack, removeSandboxesOf } from './crash-run.ts';
import { type CrashingService, sample, startCrashingService, turnsAndSends } from './crash-service.ts';

const run = promisify(execFile);

const REPOSITORY = 'shop';
const APP = 'shop-staging';
const TOKEN = 'alerts-of-the-crash-test';
const PATIENCE_MS = 120_000;

/** In the order they are gone through; at the end of each the service comes to rest. */
export const STAGES = ['import', 'deploy', 'break', 'diagnose', 'approve', 'recover', 'production'] as const;
export type Stage = (typeof STAGES)[number];

/** One life of a shop: deployed, broken, diagnosed, fixed, watched, put into production. */
export interface IncidentRun extends AsyncDisposable {
  service: CrashingService;
  stages: Readonly<Record<Stage, () => Promise<void>>>;
  /** Ends the service; what it did that somebody else can see, and what it wrote, without what differs by nature. */
  finish(): Promise<{ effects: unknown; rows: unknown }>;
}

/** A Slack, a GitHub, a namespace of the Docker target, and a service between them. */
export async function createIncidentRun(directory: string): Promise<IncidentRun> {
  await using building = new AsyncDisposableStack();
  await mkdir(directory);
  const dataDir = join(directory, 'data');
  const docker = building.use(createDockerWorld(namespaceOf({ dataDir })));
  const slack = building.use(await createPatientSlack());
  const github = building.use(await createGitHubPeer());
  const pushes: { name: string }[] = [];
  github.onPush((push) => pushes.push(push));

  const tree = join(directory, 'shop');
  const history = await buildShopRepository(tree);
  const { cloneUrl } = await github.createRepository({ owner: github.org, name: REPOSITORY });
  const remote = new URL(cloneUrl);
  remote.username = 'x-access-token';
  remote.password = github.tokenOf('ada');
  const push = async (sha: string): Promise<void> => {
    await run('git', ['-C', tree, 'push', '--quiet', remote.href, `${sha}:refs/heads/main`]);
  };
  await push(history.goodCommit);

  const script = join(directory, 'script.json');
  await writeFile(script, JSON.stringify({ scenarios: incidentScenarios }));
  const { SLACK_APP_TOKEN: _socketMode, ...overHttp } = slack.env;
  let url = '';
  const service = await startCrashingService({
    directory,
    env: {
      COMIO_DATA_DIR: dataDir,
      LLM_SCRIPT: script,
      LLM_PROVIDER: 'scripted',
      SLACK_UPDATE_MS: '150',
      ALERTS_TOKEN: TOKEN,
      // Apps keep their URL over a restart, as they do where the port is a fixed one.
      PUBLIC_URL: 'http://comio.localhost',
      WATCH_MINUTES: '0.05',
      WATCH_STEP_SECONDS: '0.5',
      ...(dockerHost ? { DOCKER_HOST: dockerHost } : {}),
      ...overHttp,
      ...github.env,
      SLACK_OPERATORS: `${slack.ids.ada},${slack.ids.bob}`,
    },
    left,
    onUp(address) {
      url = address;
      slack.deliverTo(`${address}/slack/events`);
    },
  });
  building.use(service);
  building.defer(async () => {
    await service.stop();
    await removeSandboxesOf(await runsOf(dataDir));
  });

  const said: string[] = [];
  async function say(text: string): Promise<string> {
    const ts = await slack.say({ user: 'ada', text, thread: said[0] });
    said.push(ts);
    return ts;
  }
  const thread = (): Promise<SlackMessage[]> => slack.thread(said[0] ?? '');
  const messageWith = (text: RegExp): Promise<SlackMessage> =>
    slack.until(
      async () =>
        (await thread()).find(
          ({ user, blocks }) => user === slack.ids.bot && text.test(textOfBlocks(blocks)),
        ),
      PATIENCE_MS,
    );
  async function done(ts: string): Promise<void> {
    const end = await slack.until(
      async () => (await slack.reactions(ts)).find((name) => name === 'white_check_mark' || name === 'x'),
      PATIENCE_MS,
    );
    if (end === 'x') throw new Error(`it failed: ${JSON.stringify((await thread()).slice(-2), null, 1)}`);
  }
  const deploy = async (where: string): Promise<void> => done(await say(`@comio deploy ${where}`));
  async function press(label: string, user: string): Promise<void> {
    const { ts } = await messageWith(new RegExp(`\\[${label}\\]`));
    await slack.press({ ts, user, actionId: label });
  }

  let began = '';
  /** As Alertmanager does it: sent again until it is taken, and again after that. */
  async function alert(status: 'firing' | 'resolved'): Promise<void> {
    const body = JSON.stringify(webhook(status, began));
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
    for (let taken = 0; taken < 3; ) {
      const answer = await fetch(`${url}/alerts/alertmanager`, { method: 'POST', headers, body }).catch(
        () => undefined,
      );
      if (answer?.status === 200) taken += 1;
      else await sleep(200);
    }
  }

  const stages: Record<Stage, () => Promise<void>> = {
    import: async () => done(await say(`@comio import ${github.org}/${REPOSITORY}`)),
    deploy: () => deploy('staging'),
    async break() {
      await push(history.badCommit);
      await deploy('staging');
    },
    async diagnose() {
      began = new Date().toISOString();
      for (let count = 0; count < 6; count += 1) {
        const status = await order(url, 80);
        if (status !== 500) throw new Error(`a large order was answered with ${status}`);
      }
      await alert('firing');
      await messageWith(/\[Approve\]/);
    },
    async approve() {
      await press('Approve', 'ada');
      await messageWith(/The fix is pull request/);
    },
    async recover() {
      // Before the watch begins, so that what it sees does not depend on how long a restart takes.
      await alert('resolved');
      const [pull] = await github.pullRequests({ owner: github.org, repo: REPOSITORY });
      await github.merge({ owner: github.org, repo: REPOSITORY, number: pull?.number ?? 0 });
      await deploy('staging');
      if ((await order(url, 80)) !== 201) throw new Error('the fix does not take large orders');
      await messageWith(/\bResolved: /);
    },
    async production() {
      const ts = await say('@comio deploy production');
      await press('Approve', 'bob');
      await done(ts);
    },
  };

  const held = building.move();
  return {
    service,
    stages,
    async finish() {
      await service.stop();
      const where = { owner: github.org, repo: REPOSITORY };
      const seen = await effectsOf(
        { slack, github, pushes },
        { repository: REPOSITORY, thread: said[0] ?? '', said },
      );
      return {
        effects: {
          ...seen,
          messages: seen.messages.map(withoutCounts),
          recorded: github.deployments(where).map(({ environment, statuses }) => ({
            environment,
            statuses: statuses.map(({ state, environment_url }) => `${state} ${environment_url}`),
          })),
          ...(await onDocker(docker)),
        },
        rows: await rowsOf(dataDir),
      };
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Everything but what is for later: questions that expire in a day, incidents that may come again. */
function left(metrics: string): number {
  const jobs = [...metrics.matchAll(/^comio_queue_jobs\{queue="(\w+)",state="(\w+)"\} (\d+)/gm)];
  if (jobs.length === 0) return Number.NaN;
  const open = jobs.filter(
    ([, queue = '', state = '']) =>
      ['ready', 'retry', 'active'].includes(state) ||
      (state === 'scheduled' && ['deployment', 'watch'].includes(queue)),
  );
  return (
    turnsAndSends(metrics) +
    sample(metrics, 'comio_messages_undecided') +
    open.reduce((sum, [, , , count]) => sum + Number(count), 0)
  );
}

const webhook = (status: 'firing' | 'resolved', startsAt: string) => ({
  version: '4',
  alerts: [
    {
      status,
      labels: { alertname: 'RequestsFail', app: APP, severity: 'critical' },
      annotations: { summary: 'Requests fail' },
      startsAt,
      endsAt: status === 'firing' ? '0001-01-01T00:00:00Z' : new Date().toISOString(),
      generatorURL: '',
      fingerprint: '4f1d2c3b5a697887',
    },
  ],
});

/** Orders at the deployed shop through the proxy; fetch sets no Host header. */
function order(url: string, quantity: number): Promise<number | undefined> {
  const { promise, resolve: settle, reject } = Promise.withResolvers<number | undefined>();
  const headers = { host: `${APP}.localhost`, 'content-type': 'application/json' };
  request(new URL('/orders', url), { method: 'POST', headers }, (response) => {
    response.resume().on('end', () => settle(response.statusCode));
  })
    .on('error', reject)
    .end(JSON.stringify({ customer: 'ada', item: 'mug', quantity }));
  return promise;
}

/** How often something was printed or looked at differs by when a process was up. */
const withoutCounts = (text: string): string =>
  text
    .replace(/\b\d+ (lines|looks|times|pieces|logs)\b/g, '‹n› $1')
    .replace(/\blast \d+ of\b/g, 'last ‹n› of')
    .replace(/\(\d+ and ‹n› lines\)/g, '(‹n› and ‹n› lines)')
    .replace(/\bRecovered after .*/g, 'Recovered')
    .replace(/\b\d{4}-\d\d-\d\d\b/g, '‹date›')
    .replace(/\bsha256:[0-9a-f]{64}/, '‹image›');

async function onDocker({ docker, namespace }: ReturnType<typeof createDockerWorld>) {
  const label = [`comio.target=${namespace}`];
  const containers = await docker.listContainers({ all: true, filters: JSON.stringify({ label }) });
  const networks = await docker.listNetworks({ filters: JSON.stringify({ label }) });
  const images = await docker.listImages({
    filters: JSON.stringify({ reference: [`${namespace}-app`] }),
  });
  return {
    containers: containers
      .map(({ State, Labels }) => `${Labels['comio.target.role']} ${Labels.app ?? ''} ${State}`)
      .sort(),
    networks: networks.length,
    images: images.flatMap(({ RepoTags }) => RepoTags ?? []).length,
  };
}

async function runsOf(dataDir: string): Promise<string[]> {
  await using database = await openDatabase({ dataDir, log: silentLog });
  return (await database.db.selectFrom('run').select('id').execute()).map(({ id }) => id);
}

/** What the database of the service, which is down, holds. */
async function rowsOf(dataDir: string) {
  await using database = await openDatabase({ dataDir, log: silentLog });
  const { db } = database;
  const approvals = await db
    .selectFrom('approval')
    .select(['subject', 'state', 'decided_by'])
    .orderBy('created_at')
    .execute();
  const waiting = await sql<{ job: string }>`
    select name || ' ' || state as job from pgboss.job where state in ('created', 'retry', 'active', 'failed')
    order by name, state`.execute(db);
  return {
    incidents: await db.selectFrom('incident').select(['state', 'problem', 'notes']).execute(),
    signals: await db.selectFrom('signal').select(['kind', 'fingerprint']).execute(),
    evidence: await db.selectFrom('evidence').select(['number', 'kind']).orderBy('number').execute(),
    diagnoses: await db.selectFrom('diagnosis').select(['root_cause', 'claims', 'dropped']).execute(),
    remediations: await db.selectFrom('remediation').select(['state', 'error']).execute(),
    watches: await db.selectFrom('watch').select('state').execute(),
    approvals: approvals.map(({ subject, state, decided_by }) => `${subject} ${state} ${decided_by?.name}`),
    deployments: await db
      .selectFrom('deployment')
      .innerJoin('environment', 'environment.id', 'environment_id')
      .select(['name', 'kind', 'state', 'forge_status', 'drain_until', 'error'])
      .orderBy('deployment.created_at')
      .execute(),
    releases: (await db.selectFrom('release').select('id').execute()).length,
    runs: (await db.selectFrom('run').select('id').execute()).length,
    turns: await db.selectFrom('turn').select(['verb', 'state']).orderBy('created_at').execute(),
    steps: await db
      .selectFrom('step')
      .innerJoin('turn', 'turn.id', 'turn_id')
      .select(['title', 'step.state'])
      .orderBy('turn.created_at')
      .orderBy('step.seq')
      .execute(),
    undecided: await db
      .selectFrom('message')
      .select(['id', 'outcome'])
      .where((eb) => eb.or([eb('outcome', 'is', null), eb('outcome', '!=', 'answered')]))
      .execute(),
    unsent: await db
      .selectFrom('outbox')
      .select(['key', 'state', 'error'])
      .where('state', '!=', 'sent')
      .execute(),
    audited: (await db.selectFrom('audit').select('action').orderBy('at').execute()).map(
      ({ action }) => action,
    ),
    waiting: waiting.rows.map(({ job }) => job),
  };
}
