import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { env as surfaceEnv } from '#bots/index.ts';
import { settingsOf } from '#core/config.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import { createDiscordPeer, type DiscordPeer } from '../peers/discord.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { scanForSecrets } from '../support/secret-scan.ts';
import { createServiceWorld, type ServiceWorld } from '../support/service-world.ts';
import { createTempDir } from '../support/temp-dir.ts';

const run = promisify(execFile);
const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });
const calcTest = `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { add } from './calc.mjs';
test('adds', () => assert.equal(add(2, 3), 5));
`;

const script = {
  scenarios: [
    {
      name: 'fix it',
      when: '\\bfix it\\b',
      steps: [
        call('run_command', { command: 'node --test' }),
        call('run_command', { command: 'env; touch /tmp/waits; until [ -e /tmp/go ]; do sleep 0.1; done' }),
        call('edit_file', { path: 'calc.mjs', old_string: 'a - b', new_string: 'a + b' }),
        call('run_command', { command: 'node --test' }),
        call('git_commit', { message: 'Add instead of subtracting' }),
        call('publish', { title: 'Add instead of subtracting', body: 'It subtracted.' }),
      ],
    },
    {
      name: 'what was committed',
      when: 'committed',
      captures: { leak: 'key: (\\S+)', coded: 'coded: (\\S+)' },
      steps: [call('run_command', { command: 'cat notes.txt; echo coded: $(base64 -w0 notes.txt)' })],
      final: 'The notes hold {{leak}} and {{coded}}.',
    },
  ],
};

const cleaning = new AsyncDisposableStack();
let world: ServiceWorld;
let discord: DiscordPeer;
let gitLog: string;
/** By setting. */
let secrets: Record<string, string>;

/** A git that writes down with which arguments it was started, in front of the real one. */
async function recordingGit(directory: string): Promise<string> {
  const bin = join(directory, 'bin');
  await mkdir(bin);
  gitLog = join(directory, 'git-arguments');
  const { stdout } = await run('sh', ['-c', 'command -v git']);
  const program = `#!/bin/sh
for argument; do printf '%s\\n' "$argument"; done >>'${gitLog}'
tr '\\0' '\\n' </proc/$PPID/cmdline >>'${gitLog}'
exec '${stdout.trim()}' "$@"
`;
  await writeFile(join(bin, 'git'), program);
  await chmod(join(bin, 'git'), 0o755);
  return bin;
}

beforeAll(async () => {
  const { path: directory } = cleaning.use(await createTempDir());
  const bin = await recordingGit(directory);
  const database = cleaning.use(await createTestDatabase());
  discord = cleaning.use(await createDiscordPeer());
  const operator = {
    DISCORD_TOKEN: discord.token,
    DATABASE_URL: database.url,
    // Its form is checked.
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=canary-otlp-headers-9d41c7',
  };
  const canaries = Object.fromEntries(
    Object.entries(settingsOf(surfaceEnv))
      .filter(([, setting]) => setting.secret)
      .map(([name], index) => [name, `canary/${name.toLowerCase()}+${index}&9d41c7`]),
  );
  // What a peer must recognise keeps the peer's value.
  world = cleaning.use(
    await createServiceWorld({
      script,
      env: (slack, github) => ({
        ...canaries,
        ...operator,
        ...slack.env,
        ...github.env,
        DISCORD_API_URL: discord.url,
        PATH: `${bin}:${process.env.PATH ?? ''}`,
      }),
    }),
  );
  secrets = { ...canaries, ...operator, ...pick(world.slack.env), ...pick(world.github.env) };
  const { org } = world.github;
  await world.github.createRepository({
    owner: org,
    name: 'calc',
    files: {
      'calc.mjs': 'export const add = (a, b) => a - b;\n',
      'calc.test.mjs': calcTest,
      'package.json': '{"type":"module"}\n',
    },
  });
  await world.github.createRepository({
    owner: org,
    name: 'leaky',
    files: { 'notes.txt': `key: ${secrets.ANTHROPIC_API_KEY}\n` },
  });

  function pick(values: Record<string, string>) {
    return Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(canaries, name)));
  }
});
afterAll(() => cleaning.disposeAsync());

/** What is looked for: each secret, its lines, its password, in every form a program might write it in. */
function needles(): string[] {
  const values = [...Object.values(secrets), ...world.github.issuedTokens()];
  const { password } = new URL(secrets.DATABASE_URL ?? '');
  const parts = [
    ...values,
    password,
    decodeURIComponent(password),
    ...values.flatMap(keyLines),
    'x-access-token:',
  ];
  return [...new Set(parts.flatMap(forms))].filter((form) => form.length >= 8);
}

/** Of a key of many lines two stand for all: each is looked for in every file of the sandbox. */
const keyLines = (value: string): string[] =>
  value
    .split('\n')
    .filter((line) => line.length >= 32 && !line.startsWith('-----'))
    .slice(1, 3);

const forms = (value: string): string[] => {
  const bytes = Buffer.from(value);
  // Within longer data base64 depends on where the value begins: its inside is looked for at each of the three places.
  const inside = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .slice(4, -4),
  );
  return [
    value,
    bytes.toString('base64url'),
    ...inside,
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    encodeURIComponent(value),
    new URLSearchParams({ value }).toString().slice('value='.length),
    JSON.stringify(value).slice(1, -1),
  ];
};

const foundIn = (text: string): string[] => needles().filter((needle) => text.includes(needle));

async function filesUnder(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function sandboxMadeLast(): Promise<Sandbox> {
  const sandbox = await world.driver.open(world.sandboxes().at(-1) ?? '');
  if (!sandbox) throw new Error('there is no sandbox');
  return sandbox;
}

/** Everything the service told anybody so far. */
async function said(): Promise<string> {
  const { slack, github, service } = world;
  const calc = { owner: github.org, repo: 'calc' };
  const pulls = await github.pullRequests(calc);
  const comments = await Promise.all(pulls.map(({ number }) => github.comments({ ...calc, number })));
  return JSON.stringify([
    slack.calls,
    await slack.history(),
    pulls,
    comments,
    discord.requests,
    service.records,
    await (await fetch(service.url)).text(),
    await (await fetch(`${service.url}/metrics`)).text(),
  ]);
}

describe('the secrets the service holds', { timeout: 600_000 }, () => {
  it('are all in play', () => {
    const names = Object.entries(settingsOf(surfaceEnv)).filter(([, { secret }]) => secret);
    expect(Object.keys(secrets).sort()).toEqual(names.map(([name]) => name).sort());
    for (const value of Object.values(secrets)) expect(value).toMatch(/\S{8}/);
  });

  it('are nowhere in a sandbox while a run works, nor after it has published', async () => {
    const { slack, github } = world;
    const ts = await slack.say({ user: 'ada', text: `@comio import ${github.org}/calc` });
    await world.answer(ts, (text) => /Imported/.test(text));
    await slack.say({ user: 'ada', text: '@comio fix it', thread: ts });
    await world.answer(ts, (text) => text.includes('/tmp/waits') && text.includes('[Stop]'));
    const sandbox = await sandboxMadeLast();
    expect(github.issuedTokens().length).toBeGreaterThan(0);
    expect(await scanForSecrets(sandbox, needles())).toEqual([]);
    await sandbox.exec('touch /tmp/go');
    await world.answer(ts, (text) => /Ready: pull request #\d+/.test(text));
    expect(await scanForSecrets(sandbox, needles())).toEqual([]);

    const [pull] = await github.pullRequests({ owner: github.org, repo: 'calc' });
    if (!pull) throw new Error('there is no pull request');
    const on = { owner: github.org, repo: 'calc', number: pull.number };
    await github.comment({ ...on, user: 'ada', body: '@comio status' });
    await slack.until(async () => (await github.comments(on)).some(({ byBot }) => byBot), 60_000);
  });

  it('would have been found', async () => {
    const sandbox = await sandboxMadeLast();
    const { OPENAI_API_KEY: key = '' } = secrets;
    const [token = ''] = world.github.issuedTokens();
    const header = Buffer.from(`Basic x-access-token:${token}`).toString('base64');
    await sandbox.exec(`printf %s '${Buffer.from(key).toString('hex')}' >/tmp/planted`);
    await sandbox.exec(`PLANTED='${encodeURIComponent(key)}' setsid -f sleep 600 >/dev/null 2>&1`);
    await sandbox.exec(`setsid -f sh -c 'sleep 600; : ${header}' >/dev/null 2>&1`);
    const places = (await scanForSecrets(sandbox, needles())).map(({ where }) => where);
    expect(places).toContain('/tmp/planted');
    expect(places.some((place) => place.endsWith('/environ'))).toBe(true);
    expect(places.some((place) => place.endsWith('/cmdline'))).toBe(true);
    await sandbox.exec('pkill sleep; rm /tmp/planted');
    expect(foundIn(`a line with ${key} in it`)).toContain(key);
  });

  it('are in no log record, no message, no page, no mirror and no argument of git', async () => {
    expect(foundIn(await said())).toEqual([]);

    const mirrors = join(world.dataDir, 'repositories');
    const files = await filesUnder(mirrors);
    expect(files.some((file) => file.endsWith('config'))).toBe(true);
    for (const file of files) expect(foundIn(await readFile(file, 'latin1')), file).toEqual([]);
    const [mirror = ''] = (await readdir(mirrors)).filter((name) => name.endsWith('.git'));
    const objects = await run(
      'git',
      ['--git-dir', join(mirrors, mirror), 'cat-file', '--batch', '--batch-all-objects'],
      { encoding: 'latin1', maxBuffer: 64 * 1024 * 1024 },
    );
    expect(objects.stdout).toContain('export const add = (a, b) => a + b;');
    expect(foundIn(objects.stdout)).toEqual([]);

    const started = await readFile(gitLog, 'latin1');
    expect(started).toMatch(/^fetch$/m);
    expect(started).toMatch(/^push$/m);
    expect(foundIn(started)).toEqual([]);
  });

  it('are hidden where somebody committed one and a command prints it', async () => {
    const { slack, github } = world;
    const { ANTHROPIC_API_KEY: key = '' } = secrets;
    const ts = await slack.say({ user: 'ada', text: `@comio import ${github.org}/leaky` });
    await world.answer(ts, (text) => /Imported/.test(text));
    await slack.say({ user: 'ada', text: `@comio edit what was committed with ${key}`, thread: ts });
    const final = await world.answer(ts, (text) => text.includes('The notes hold'));
    expect(final.text).toContain('The notes hold [redacted] and');
    expect(foundIn(await said())).toEqual([]);
  });
});
