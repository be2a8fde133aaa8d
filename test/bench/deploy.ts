import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, type IncomingMessage, request as send } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { createGitHubForge } from '#adapters/forge/github.ts';
import { targets } from '#adapters/targets/index.ts';
import { createLogger } from '#observability/log.ts';
import { ensureImage } from '#sandbox/image/image.ts';
import { createGitHubPeer } from '../peers/github.ts';
import { testComio } from '../support/comio.ts';
import { crashingApp, goodApp } from '../support/example-app.ts';
import { listen } from '../support/listen.ts';
import { compare, progress, type Result, resultOf, timed } from './measure.ts';

const suite = 'deploy';
/** In each of the three changes, and before each. */
const LEAST_REQUESTS = 7000;
const QUIET_REQUESTS = 2000;
const CLIENTS = 16;

/** Apps in real containers: what the way through the proxy costs, and what a swap costs whoever is asking meanwhile. */
export async function* deploySuite(): AsyncGenerator<Result> {
  await using world = await startWorld();
  await world.deploy(goodApp('first'), 'deploy');
  const { labels, address } = await world.instance();
  yield await compare({
    suite,
    name: 'proxy-overhead',
    baseline: 'the instance itself, keep-alive',
    n: 400,
    warmup: 200,
    ours: () => timed(() => get(world.front, labels.app ?? '')),
    theirs: () => timed(() => get(address, labels.app ?? '')),
  });
  const changes = [
    () => world.deploy(goodApp('second'), 'deploy'),
    () => world.deploy(crashingApp(), 'deploy'),
    () => world.say('rollback'),
  ];
  const load: Load = { failures: [], seen: new Set() };
  const during: number[][] = [];
  const quiet: number[][] = [];
  for (const [index, change] of changes.entries()) {
    progress(`${suite}/swap: ${index} of ${changes.length} changes`);
    const of = { at: world.front, app: labels.app ?? '', load };
    quiet.push(await underLoad({ ...of, least: QUIET_REQUESTS, change: async () => undefined }));
    during.push(await underLoad({ ...of, least: LEAST_REQUESTS, change }));
  }
  progress('');
  const { failures, seen } = load;
  const [ours, theirs] = [during.flat(), quiet.flat()];
  process.stderr.write(
    `${suite}/swap: deploy, failed deploy and rollback under ${CLIENTS} clients: ${ours.length} requests, ${failures.length} failed; answers of ${[...seen].sort().join(', ')}\n`,
  );
  if (failures.length > 0 || !seen.has('first') || !seen.has('second'))
    throw new Error(`the swap is not seamless: ${failures.slice(0, 5).join('; ')}`);
  yield resultOf({ suite, name: 'swap', baseline: 'the same clients, nothing deployed', ours, theirs });
}

interface Place {
  host: string;
  port: number;
}

/** Shared, as a browser or a balancer keeps its connections. */
const agent = new Agent({ keepAlive: true });

async function get(at: Place, app: string): Promise<{ status: number; body: string }> {
  const request = send({ ...at, path: '/', headers: { host: `${app}.localhost` }, agent });
  request.end();
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of answer.setEncoding('utf8')) body += chunk;
  return { status: answer.statusCode ?? 0, body };
}

interface Load {
  failures: string[];
  /** What was answered. */
  seen: Set<string>;
}

/**
 * Asks without pause while `change` goes on, and then until there were enough requests. Resolves with the milliseconds
 * each took.
 */
async function underLoad(options: {
  at: Place;
  app: string;
  load: Load;
  least: number;
  change: () => Promise<void>;
}): Promise<number[]> {
  const { at, app, load, least, change } = options;
  const took: number[] = [];
  let requests = 0;
  let over = false;
  const ask = async () => {
    try {
      const { status, body } = await get(at, app);
      if (status === 200) load.seen.add(body);
      else load.failures.push(`${status} ${body}`);
    } catch (error) {
      load.failures.push(String(error));
    }
  };
  const client = async () => {
    while (!over || requests < least) {
      requests += 1;
      took.push(await timed(ask));
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);
  try {
    await change();
  } finally {
    over = true;
    await Promise.all(clients);
  }
  return took;
}

async function startWorld() {
  await using building = new AsyncDisposableStack();
  const log = createLogger('error');
  const docker = new Docker();
  const directory = await mkdtemp(join(tmpdir(), 'comio-bench-'));
  building.defer(() => rm(directory, { recursive: true, force: true }));
  const github = building.use(await createGitHubPeer());
  const repo = 'shop';
  const on = { owner: github.org, repo };
  await github.createRepository({ owner: on.owner, name: repo, files: { 'README.md': '# Shop\n' } });
  const namespace = `comio-bench-${process.pid}`;
  building.defer(() => removeAll(docker, namespace));
  const target = building.use(
    targets.docker({
      docker,
      baseImage: () => ensureImage(docker, { log, onProgress: () => undefined }),
      log,
      namespace,
    }),
  );
  const script = {
    scenarios: [
      {
        name: 'none',
        when: 'nothing',
        steps: [{ toolCalls: [{ name: 'git_status', input: {} }] }],
        final: 'Nothing.',
      },
    ],
  };
  const forge = createGitHubForge({ ...github.env, GITHUB_TOKEN: undefined }, log);
  const { comio, chat } = building.use(
    await testComio({
      // As it is without settings.
      database: 'pglite',
      script,
      forge,
      target,
    }),
  );
  building.defer(async () => {
    for (const { key } of await target.list()) await target.stop(key, 0);
  });
  const server = building.use(await listen(comio.proxy));
  await chat.say(`import ${on.owner}/${repo}`);
  await chat.until((shown) => shown.find(({ key }) => key.startsWith('final:')));
  const say = async (text: string): Promise<void> => {
    const outcomes = () => chat.shown.filter(({ key }) => key.startsWith('deployed:')).length;
    const before = outcomes();
    await chat.say(text);
    await chat.until(() => outcomes() > before, 600_000);
  };
  const held = building.move();
  return {
    front: { host: '127.0.0.1', port: server.port },
    say,
    async deploy(files: Record<string, string>, text: string): Promise<void> {
      await github.pushBranch({ ...on, branch: 'main', files });
      await say(text);
    },
    async instance() {
      const [found] = await target.list();
      if (!found) throw new Error('nothing is live');
      return found;
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** What a service keeps for its next deployment: networks and images. */
async function removeAll(docker: Docker, namespace: string): Promise<void> {
  const networks = await docker.listNetworks({ filters: { name: [namespace] } });
  for (const { Id } of networks) await docker.getNetwork(Id).remove();
  for (const { Id, RepoTags } of await docker.listImages())
    if (RepoTags?.some((tag) => tag.startsWith(`${namespace}-`)))
      await docker.getImage(Id).remove({ force: true });
}
