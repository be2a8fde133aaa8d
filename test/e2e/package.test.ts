import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createServiceWorld, type ServiceWorld } from '../support/service-world.ts';
import { createTempDir } from '../support/temp-dir.ts';

const run = promisify(execFile);

/** Small, MIT, without dependencies, and its archive carries its own tests, which need only `node --test`. */
const PACKAGE = '@fastify/forwarded@3.1.2';
const FILE = 'index.js';
/** One line of it as it is, and with the bug: tabs are white space in a header, too. */
const RIGHT = "if (char === ' ' || char === '\\t') {";
const WRONG = "if (char === ' ') {";

const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });
const script = {
  scenarios: [
    {
      name: 'fix it',
      when: '\\bfix it\\b',
      steps: [
        call('run_command', { command: 'node --test' }),
        { toolCalls: [{ name: 'read_file', input: { path: FILE } }] },
        call('edit_file', { path: FILE, old_string: WRONG, new_string: RIGHT }),
        call('run_command', { command: 'node --test' }),
        call('git_commit', { message: 'Trim tabs around addresses too' }),
        call('publish', { title: 'Trim tabs around addresses too', body: 'HTAB is white space (RFC 9110).' }),
      ],
      final: 'Tabs around an address were taken for a part of it.',
    },
  ],
};

const cleaning = new AsyncDisposableStack();
let world: ServiceWorld;
let source: string;
let original: string;

/** The package's directory, fresh from the registry. */
async function download(): Promise<string> {
  const { path } = cleaning.use(await createTempDir());
  try {
    const { stdout } = await run('npm', ['pack', '--silent', PACKAGE], { cwd: path, timeout: 120_000 });
    await run('tar', ['-xzf', stdout.trim(), '--no-same-owner'], { cwd: path });
  } catch (cause) {
    throw new Error(`This test needs the npm registry to answer: npm pack ${PACKAGE} failed`, { cause });
  }
  return join(path, 'package');
}

beforeAll(async () => {
  source = await download();
  original = await readFile(join(source, FILE), 'utf8');
  expect(original.split(RIGHT)).toHaveLength(2);
  expect(JSON.parse(await readFile(join(source, 'package.json'), 'utf8')).license).toBe('MIT');
  await writeFile(join(source, FILE), original.replace(RIGHT, WRONG));
  world = cleaning.use(await createServiceWorld({ script }));
  await world.github.createRepository({ owner: world.github.org, name: 'forwarded', files: source });
});
afterAll(() => cleaning.disposeAsync());

describe('a package nobody here wrote', () => {
  it('is imported, repaired and published, as its own tests say', { timeout: 600_000 }, async () => {
    const { slack, github } = world;
    const at = { owner: github.org, repo: 'forwarded' };
    const ts = await slack.say({ user: 'ada', text: `@comio import ${github.org}/forwarded` });
    await world.answer(ts, (text) => /Imported/.test(text) && /package\.json/.test(text));
    await slack.say({ user: 'ada', text: '@comio fix it', thread: ts });
    const final = await world.answer(ts, (text) => /Ready: pull request #\d+/.test(text));
    expect(final.text).toMatch(/Passed: 13 passed/);
    expect(final.text).toContain('Tabs around an address were taken for a part of it.');
    const live = (await world.read(ts)).map(({ text }) => text).find((text) => /failed/.test(text));
    expect(live).toMatch(/2 of 13 failed/);

    const pulls = await github.pullRequests(at);
    expect(pulls).toHaveLength(1);
    const [pull] = pulls;
    if (!pull) throw new Error('unreachable');
    expect(pull).toMatchObject({ state: 'open', title: 'Trim tabs around addresses too' });
    const files = await github.pullRequestFiles({ ...at, number: pull.number });
    expect(files).toMatchObject([{ filename: FILE, status: 'modified', additions: 1, deletions: 1 }]);

    const { path } = cleaning.use(await createTempDir());
    const url = new URL(`${github.url}/${github.org}/forwarded.git`);
    url.username = 'x-access-token';
    url.password = github.tokenOf('ada');
    const clone = join(path, 'clone');
    await run('git', ['clone', '--quiet', '--branch', pull.head.branch, url.href, clone]);
    const git = async (...argv: string[]) => (await run('git', argv, { cwd: clone })).stdout.trim();
    expect(await git('rev-parse', 'HEAD')).toBe(pull.head.sha);
    expect(await readFile(join(clone, FILE), 'utf8')).toBe(original);
    expect(await git('diff', '--numstat', 'origin/main', 'HEAD')).toBe(`1\t1\t${FILE}`);
    const tests = await run(process.execPath, ['--test', '--test-reporter=tap'], {
      cwd: clone,
      // Without this the runner believes it is one of its own children.
      env: { PATH: process.env.PATH ?? '' },
    });
    expect(tests.stdout).toMatch(/^# pass 13$/m);
    expect(tests.stdout).toMatch(/^# fail 0$/m);
  });
});
