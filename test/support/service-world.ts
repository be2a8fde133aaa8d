import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import { createGitHubPeer, type GitHubPeer } from '../peers/github.ts';
import { createSlackPeer, type SlackMessage, type SlackPeer } from '../peers/slack.ts';
import { dockerDriver, dockerHost } from './docker.ts';
import { type Service, startService } from './service.ts';
import { textOfBlocks } from './slack-text.ts';
import { createTempDir } from './temp-dir.ts';

export interface ServiceWorld extends AsyncDisposable {
  slack: SlackPeer;
  github: GitHubPeer;
  service: Service;
  dataDir: string;
  /** To look at the service's sandboxes, and to make some of one's own. */
  driver: SandboxDriver;
  /** Ids of the sandboxes the service has made so far. */
  sandboxes(): string[];
  /** What a person reads in the thread from Comio, one text for each message, oldest first. */
  read(thread: string): Promise<{ ts: string; text: string }[]>;
  /** Waits for such a text. Throws with the whole thread when the service ends or it takes more than four minutes. */
  answer(thread: string, matches: (text: string) => boolean): Promise<{ ts: string; text: string }>;
}

/** The sandbox image may have to be built first. */
const PATIENCE_MS = 240_000;

/** Comio as a process of its own between a local Slack and a local GitHub, with real sandboxes and this script. */
export async function createServiceWorld(options: {
  script: unknown;
  /** Further settings; they win over the peers' own. */
  env?: (slack: SlackPeer, github: GitHubPeer) => Record<string, string>;
}): Promise<ServiceWorld> {
  await using building = new AsyncDisposableStack();
  const { path: root } = building.use(await createTempDir());
  const slack = building.use(await createSlackPeer());
  const github = building.use(await createGitHubPeer());
  const driver = building.use(dockerDriver());
  const script = join(root, 'script.json');
  await writeFile(script, JSON.stringify(options.script));
  const dataDir = join(root, 'data');
  const { SLACK_APP_TOKEN: _socketMode, ...overHttp } = slack.env;
  const service = await startService({
    COMIO_DATA_DIR: dataDir,
    LLM_PROVIDER: 'scripted',
    LLM_SCRIPT: script,
    SLACK_UPDATE_MS: '200',
    GITHUB_UPDATE_MS: '200',
    ...(dockerHost ? { DOCKER_HOST: dockerHost } : {}),
    ...overHttp,
    ...github.env,
    ...options.env?.(slack, github),
  });
  const sandboxes = () =>
    service.records.filter(({ msg }) => msg === 'sandbox ready').map(({ sandbox }) => String(sandbox));
  building.defer(async () => {
    for (const id of sandboxes()) await (await driver.open(id))?.destroy();
  });
  let ended = false;
  const watching = service.ended.then(() => {
    ended = true;
  });
  building.defer(() => watching);
  building.use(service);
  slack.deliverTo(`${service.url}/slack/events`);
  github.deliverTo(`${service.url}/github/webhooks`);

  const textOf = (message: SlackMessage) => textOfBlocks(message.blocks) || message.text;
  const read = async (thread: string) =>
    (await slack.thread(thread))
      .filter(({ user }) => user === slack.ids.bot)
      .map((message) => ({ ts: message.ts, text: textOf(message) }));
  const held = building.move();
  return {
    slack,
    github,
    service,
    dataDir,
    driver,
    sandboxes,
    read,
    async answer(thread, matches) {
      try {
        return await slack.until(async () => {
          const found = (await read(thread)).find(({ text }) => matches(text));
          if (!found && ended) throw new Error('the service has ended');
          return found;
        }, PATIENCE_MS);
      } catch (cause) {
        const said = (await read(thread)).map(({ text }) => text).join('\n---\n');
        const records = service.records.slice(-5).map((record) => JSON.stringify(record));
        throw new Error(`Not said in the thread:\n${said}\n\nThe log ends:\n${records.join('\n')}`, {
          cause,
        });
      }
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
