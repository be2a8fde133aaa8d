import { execFile as execFileCallback } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { LABEL_ROLE, LABEL_TARGET } from '#adapters/targets/docker-container.ts';
import { namespaceOf } from '#core/deployments/namespace.ts';
import { buildShopRepository, type ShopHistory } from '#observability/demo-app/history.ts';
import { createLogger } from '#observability/log.ts';
import { drivers } from '#sandbox/drivers/index.ts';
import { createGitTransport } from '#sandbox/git-transport.ts';
import { createDockerWorld } from '../adapters/targets/docker-world.ts';
import { createGitHubPeer, type GitHubPeer } from '../peers/github.ts';
import { createSlackPeer, type SlackMessage, type SlackPeer } from '../peers/slack.ts';
import { freePort } from '../support/free-port.ts';
import { prepareDocker } from '../support/prepare-docker.ts';
import { type PrometheusStack, startPrometheus } from '../support/prometheus.ts';
import { type Service, startService } from '../support/service.ts';
import { textOfBlocks } from '../support/slack-text.ts';
import { demoScript } from './scripts/index.ts';
import type { Terminal } from './terminal.ts';

export interface World extends AsyncDisposable {
  slack: SlackPeer;
  github: GitHubPeer;
  service: Service;
  /** The model that answers, for the person at the terminal. */
  model: string;
  /** It is: then also what it says and names is known beforehand. A real one is free in that. */
  isScripted: boolean;
  /** The shop and who watches it; undefined where the walk does not go there. */
  watched: Watched | undefined;
  /** The commit of the newest container that runs for the app, by Docker's word; undefined: none runs. */
  running(app: string): Promise<string | undefined>;
  /** The Host header of a deployed app. */
  hostOf(app: string): string;
  /** Asks a deployed app, through Comio's proxy, as anybody would; with a body by POST. */
  ask(app: string, path: string, body?: unknown): Promise<{ status: number; body: string }>;
  /** Ends it with the world. */
  keep(what: AsyncDisposable): void;
  /** Clones a branch into a sandbox of its own, as anybody could, and runs the command there. */
  tryOut(
    repository: string,
    branch: string,
    command: string,
  ): Promise<{ exitCode: number | null; output: string; sha: string }>;
}

export interface Watched {
  prometheus: PrometheusStack;
  history: ShopHistory;
  /** A colleague's push of the commit with the bug. */
  pushBad(): Promise<void>;
}

const execFile = promisify(execFileCallback);
const FIXTURE = join(import.meta.dirname, '../fixtures/demo/durations');
const LIMITS = { memoryMb: 1024, cpus: 2, pids: 256 };
const MODEL_SETTINGS = ['ANTHROPIC_API_KEY', 'OPENAI_API_KEY', 'OLLAMA_HOST'] as const;
const MODEL_OPTIONS = ['ANTHROPIC_BASE_URL', 'OPENAI_BASE_URL', 'LLM_PROVIDER', 'LLM_MODEL'] as const;

/** Local Slack and GitHub, and Comio as a process of its own between them. */
export async function createWorld(
  terminal: Terminal,
  environment: Record<string, string | undefined>,
  { incident }: { incident: boolean },
): Promise<World> {
  await using building = new AsyncDisposableStack();
  await prepareDocker(terminal.say, environment.DOCKER_HOST);
  const dataDir = await mkdtemp(join(tmpdir(), 'comio-demo-'));
  building.defer(() => rm(dataDir, { recursive: true, force: true }));

  const slack = building.use(await createSlackPeer());
  const github = building.use(await createGitHubPeer());
  await github.createRepository({ owner: github.org, name: 'durations', files: FIXTURE });
  github.setPermission('ada', 'write');

  const port = await freePort();
  const token = randomBytes(24).toString('hex');
  const watched = incident
    ? await watchShop(building, terminal, github, `http://127.0.0.1:${port}`, token, join(dataDir, 'shop'))
    : undefined;

  const driver = building.use(
    drivers.docker({ dockerHost: environment.DOCKER_HOST, log: createLogger('error') }),
  );
  const { env: model, name, isScripted } = await modelSettings(environment, dataDir);
  const comioDir = join(dataDir, 'comio');
  const { docker, namespace } = building.use(createDockerWorld(namespaceOf({ dataDir: comioDir })));
  const { SLACK_APP_TOKEN: _socketMode, ...overHttp } = slack.env;
  const service = building.use(
    await startService({
      COMIO_DATA_DIR: comioDir,
      SLACK_UPDATE_MS: '700',
      GITHUB_UPDATE_MS: '700',
      ...(environment.DOCKER_HOST ? { DOCKER_HOST: environment.DOCKER_HOST } : {}),
      PORT: String(port),
      ...(watched
        ? {
            ALERTS_TOKEN: token,
            PROMETHEUS_URL: watched.prometheus.prometheusUrl,
            DETECT_STEP_SECONDS: '1',
            WATCH_MINUTES: '0.25',
            WATCH_STEP_SECONDS: '1',
          }
        : {}),
      ...overHttp,
      ...github.env,
      ...model,
    }),
  );
  building.defer(async () => {
    // Only what this demo made goes with it.
    const made = service.records.filter(({ msg }) => msg === 'sandbox ready');
    for (const { sandbox } of made) await (await driver.open(String(sandbox)))?.destroy();
  });
  slack.deliverTo(`${service.url}/slack/events`);
  github.deliverTo(`${service.url}/github/webhooks`);
  showThreads(terminal, slack, github);

  const transport = createGitTransport({ dataDir: join(dataDir, 'mirrors'), log: createLogger('error') });
  let tries = 0;
  const hostOf = (app: string) => `${app}.localhost:${port}`;
  const held = building.move();
  return {
    slack,
    github,
    service,
    model: name,
    isScripted,
    watched,
    hostOf,
    async running(app) {
      const label = [`${LABEL_TARGET}=${namespace}`, `${LABEL_ROLE}=app`, `app=${app}`];
      const filters = JSON.stringify({ label, status: ['running'] });
      // The one before may still end its requests.
      const [newest] = (await docker.listContainers({ filters })).sort((a, b) => b.Created - a.Created);
      return newest?.Labels.commit;
    },
    ask: (app, path, body) => askThroughProxy(service.url, hostOf(app), path, body),
    keep: (what) => void held.use(what),
    async tryOut(repository, branch, command) {
      tries += 1;
      const key = `demo-${process.pid}-${tries}`;
      const sandbox = await driver.create({ key, limits: LIMITS, network: 'none' });
      try {
        const url = `${github.url}/${repository}.git`;
        const credentials = { username: 'x-access-token', password: github.tokenOf('ada') };
        await transport.cloneInto(sandbox, { url, credentials, ref: branch, branch: 'try' });
        const sha = (await sandbox.exec('git rev-parse HEAD')).output.trim();
        const { exitCode, output } = await sandbox.exec(command);
        return { exitCode, output, sha };
      } finally {
        await sandbox.destroy();
      }
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** The shop's repository without its last commit, and a Prometheus and an Alertmanager that know Comio. */
async function watchShop(
  building: AsyncDisposableStack,
  terminal: Terminal,
  github: GitHubPeer,
  comioUrl: string,
  token: string,
  directory: string,
): Promise<Watched> {
  const history = await buildShopRepository(directory);
  const { cloneUrl } = await github.createRepository({ owner: github.org, name: 'shop' });
  const remote = new URL(cloneUrl);
  remote.username = 'x-access-token';
  remote.password = github.tokenOf('ada');
  const push = async (sha: string) => {
    await execFile('git', ['-C', directory, 'push', '--quiet', remote.href, `${sha}:refs/heads/main`]);
  };
  await push(history.goodCommit);
  const prometheus = building.use(await startPrometheus({ comioUrl, token, say: terminal.say }));
  return { prometheus, history, pushBad: () => push(history.badCommit) };
}

/** fetch sets no Host header. */
function askThroughProxy(
  url: string,
  host: string,
  path: string,
  body: unknown,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const asked = request(new URL(path, url), { method, headers: { host } }, (response) => {
      text(response).then((said) => resolve({ status: response.statusCode ?? 0, body: said }), reject);
    });
    asked.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function modelSettings(
  environment: Record<string, string | undefined>,
  dataDir: string,
): Promise<{ env: Record<string, string>; name: string; isScripted: boolean }> {
  const pick = (names: readonly string[]) =>
    Object.fromEntries(
      names.flatMap((name) => {
        const value = environment[name];
        return value ? [[name, value]] : [];
      }),
    );
  const real = pick(MODEL_SETTINGS);
  const [first] = Object.keys(real);
  if (first)
    return { env: { ...real, ...pick(MODEL_OPTIONS) }, name: `the model of ${first}`, isScripted: false };
  const file = join(dataDir, 'script.json');
  await writeFile(file, JSON.stringify(demoScript));
  return {
    env: { LLM_SCRIPT: file, LLM_PROVIDER: 'scripted' },
    name: 'the scripted model',
    isScripted: true,
  };
}

function showThreads(terminal: Terminal, slack: SlackPeer, github: GitHubPeer): void {
  const names = Object.fromEntries(Object.entries(slack.ids).map(([name, id]) => [id, name]));
  const fromBot = (message: SlackMessage) =>
    terminal.show({
      id: `slack:${message.ts}`,
      thread: `Slack #dev, thread ${message.thread}`,
      author: 'Comio',
      byBot: true,
      text: textOfBlocks(message.blocks) || message.text,
    });
  slack.events.on('message', fromBot);
  slack.events.on('update', fromBot);
  slack.events.on('reaction', (reaction, ts) =>
    terminal.show({
      id: `slack:${ts}:${reaction}`,
      thread: 'Slack #dev',
      author: 'Comio',
      byBot: true,
      text: `:${reaction}: on ${names[ts] ?? 'the message'}`,
    }),
  );
  github.onComment((comment) =>
    terminal.show({
      id: `github:${comment.id}`,
      thread: `GitHub ${comment.owner}/${comment.repo}#${comment.number}`,
      author: comment.byBot ? 'Comio' : comment.login,
      byBot: comment.byBot,
      text: comment.body.replace(/<!--[\s\S]*?-->/g, ''),
    }),
  );
}
