import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openDatabase } from '#core/store/database.ts';
import { createGitHubPeer, type GitHubPeer } from '../peers/github.ts';
import { createSlackPeer, type SlackPeer } from '../peers/slack.ts';
import { dockerDriver, dockerHost } from '../support/docker.ts';
import { type Effects, effectsOf } from '../support/effects.ts';
import { silentLog } from '../support/silent-log.ts';
import { createTempDir } from '../support/temp-dir.ts';

const SOURCE = `const SECONDS = { d: 86400, h: 360, m: 60, s: 1 };

export const parse = (text) =>
  [...text.matchAll(/(\\d+)([dhms])/g)].reduce((sum, [, count, unit]) => sum + Number(count) * SECONDS[unit], 0);
`;
const TEST = `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from '../src/parse.js';

test('hours', () => assert.equal(parse('2h'), 7200));
`;
const FILES = {
  'package.json': JSON.stringify({ name: 'durations', type: 'module', scripts: { test: 'node --test' } }),
  'src/parse.js': SOURCE,
  'test/parse.test.js': TEST,
};

const call = (name: string, input: unknown) => ({ name, input });

/**
 * What is done twice shows: the commands append to a file that is committed, and the first edit can be applied to its
 * own result.
 */
const SCRIPT = {
  scenarios: [
    {
      name: 'fix it',
      when: '\\bfix it\\b',
      steps: [
        {
          delayMs: 60,
          text: 'First I look.',
          toolCalls: [
            call('run_command', {
              command: 'echo looked >> effects.log; sleep 0.4; echo seen >> effects.log',
            }),
          ],
        },
        {
          delayMs: 60,
          toolCalls: [
            call('edit_file', {
              path: 'src/parse.js',
              old_string: 'export const parse',
              new_string: '/** Seconds in a duration. */\nexport const parse',
            }),
            call('edit_file', { path: 'src/parse.js', old_string: 'h: 360,', new_string: 'h: 3600,' }),
          ],
        },
        {
          delayMs: 60,
          toolCalls: [call('run_command', { command: 'echo tested >> effects.log; node --test' })],
        },
        { delayMs: 60, toolCalls: [call('git_commit', { message: 'Count 3600 seconds in an hour' })] },
        {
          delayMs: 60,
          toolCalls: [call('publish', { title: 'Count 3600 seconds in an hour', body: 'It was 360.' })],
        },
      ],
      final: 'An hour has 3600 seconds now.',
    },
  ],
};

export interface CrashWorld extends AsyncDisposable {
  github: GitHubPeer;
  pushes: { name: string }[];
  directory: string;
  /** What a service that talks to this Slack is configured with. */
  env(slack: SlackPeer, dataDir: string): Record<string, string>;
}

/** GitHub, the script, and a directory for everything. */
export async function createCrashWorld(): Promise<CrashWorld> {
  await using building = new AsyncDisposableStack();
  const { path: directory } = building.use(await createTempDir());
  const github = building.use(await createGitHubPeer());
  github.setPermission('ada', 'write');
  const pushes: { name: string }[] = [];
  github.onPush((push) => pushes.push(push));
  const script = join(directory, 'script.json');
  await writeFile(script, JSON.stringify(SCRIPT));
  const held = building.move();
  return {
    github,
    pushes,
    directory,
    env(slack, dataDir) {
      const { SLACK_APP_TOKEN: _socketMode, ...overHttp } = slack.env;
      return {
        COMIO_DATA_DIR: dataDir,
        LLM_SCRIPT: script,
        LLM_PROVIDER: 'scripted',
        SLACK_UPDATE_MS: '150',
        ...(dockerHost ? { DOCKER_HOST: dockerHost } : {}),
        ...overHttp,
        ...github.env,
      };
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Sends again for long enough that a service which was killed is back. */
export const createPatientSlack = (): Promise<SlackPeer> =>
  createSlackPeer({ retryMs: [200, 500, ...Array<number>(60).fill(1000)] });

/** One thread in which a repository of its own is imported and then fixed. */
export interface CrashRun {
  repository: string;
  /** Says it and resolves when it was answered. */
  import(): Promise<void>;
  fix(): Promise<void>;
  /** Takes the fix back, which is published by then. */
  undo(): Promise<void>;
  effects(): Promise<Effects>;
}

export async function createCrashRun(
  world: CrashWorld,
  slack: SlackPeer,
  repository: string,
): Promise<CrashRun> {
  const { github } = world;
  await github.createRepository({ owner: github.org, name: repository, files: FILES });
  const said: string[] = [];
  async function say(text: string): Promise<void> {
    said.push(await slack.say({ user: 'ada', text, thread: said[0] }));
  }
  async function answered(count: number): Promise<void> {
    await slack.until(async () => {
      const thread = await slack.thread(said[0] ?? '');
      const ends = thread.filter(({ reactions }) =>
        reactions.some(({ name }) => name === 'white_check_mark' || name === 'x'),
      );
      return ends.length === count;
    }, 300_000);
  }
  return {
    repository,
    async import() {
      await say(`@comio import ${github.org}/${repository}`);
      await answered(1);
    },
    async fix() {
      await say('@comio fix it');
      await answered(2);
    },
    async undo() {
      await say('@comio undo');
      await answered(3);
      await say('@comio undo confirm');
      await answered(4);
    },
    effects: () =>
      effectsOf({ slack, github, pushes: world.pushes }, { repository, thread: said[0] ?? '', said }),
  };
}

/** What the database of a service that is down holds. */
export async function rowsOf(where: { dataDir: string; url?: string | undefined }) {
  await using database = await openDatabase({ ...where, log: silentLog });
  const { db } = database;
  const [runs, messages, turns, steps, outbox] = await Promise.all([
    db.selectFrom('run').select('id').execute(),
    db.selectFrom('message').select(['id', 'outcome']).execute(),
    db.selectFrom('turn').select(['verb', 'state']).execute(),
    db.selectFrom('step').select(['title', 'state']).execute(),
    db.selectFrom('outbox').select(['key', 'state', 'error']).execute(),
  ]);
  return { runs: runs.map(({ id }) => id), messages, turns, steps, outbox };
}

/** Every message was answered, every turn and step ended well, everything was sent; each run has one sandbox. */
export async function expectNothingLeft(
  rows: Awaited<ReturnType<typeof rowsOf>>,
  counts: { runs: number; messages: number },
): Promise<void> {
  expect(rows.runs).toHaveLength(counts.runs);
  expect(rows.messages.filter(({ outcome }) => outcome !== 'answered')).toEqual([]);
  expect(rows.messages).toHaveLength(counts.messages);
  expect(rows.turns.filter(({ state }) => state !== 'done' && state !== 'undone')).toEqual([]);
  expect(rows.turns).toHaveLength(counts.messages);
  expect(rows.steps.filter(({ state }) => state !== 'done')).toEqual([]);
  expect(rows.outbox.filter(({ state }) => state !== 'sent')).toEqual([]);
  expect(await sandboxesOf(rows.runs)).toHaveLength(counts.runs);
}

const keysOf = (runs: readonly string[]) => new Set(runs.map((id) => `run-${id}`));

async function sandboxesOf(runs: readonly string[]): Promise<string[]> {
  await using driver = dockerDriver();
  return (await driver.list()).filter(({ key }) => keysOf(runs).has(key)).map(({ id }) => id);
}

/** The sandboxes of these runs, and no others, are removed. */
export async function removeSandboxesOf(runs: readonly string[]): Promise<void> {
  await using driver = dockerDriver();
  for (const { id, key } of await driver.list())
    if (keysOf(runs).has(key)) await (await driver.open(id))?.destroy();
}
