import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPathPolicy, env, meantBy } from '#core/policy/denied-paths.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import { specFor, uniqueKey } from '#test/contracts/sandbox.ts';

const globs = env.DENIED_PATHS.schema.parse(undefined);
const policy = createPathPolicy(globs, { unasked: false });
const denied = (path: string) => policy.firstDenied([path]) !== undefined;

describe('the default', () => {
  it.each([
    '.github/workflows/ci.yml',
    '.github/dependabot.yml',
    '.github',
    './.github/workflows/ci.yml',
    'src/../.github/workflows/ci.yml',
    './/.github//x',
    '.GitHub/Workflows/CI.yml',
    '.gitlab-ci.yml',
    '.env',
    '.env.production',
    'apps/web/.env.local',
    '.env/secret',
    'certs/server.pem',
    'SERVER.PEM',
    'home/.ssh/id_ed25519',
    'id_rsa',
    'CODEOWNERS',
    'docs/CODEOWNERS',
    '.github/CODEOWNERS',
    'a\nb/.env',
    'a\nb/server.key',
    'a\u2028b/id_rsa',
    'a\rb/c/CODEOWNERS',
  ])('denies %s', (path) => expect(denied(path)).toBe(true));

  it.each([
    'src/app.ts',
    'github/workflows/ci.yml',
    'docs/.github-notes.md',
    'src/environment.ts',
    'src/valid_id.ts',
    'pem.ts',
    'CODEOWNERS.md',
    'dir with [brackets]/{a,b}.ts',
  ])('allows %s', (path) => expect(denied(path)).toBe(false));
});

it('names the first of several', () => {
  expect(policy.firstDenied(['a.ts', '.env', '.github/x'])).toBe('.env');
  expect(policy.firstDenied([])).toBeUndefined();
});

it('denies workflows to a run that nobody asked for, whatever the setting says', () => {
  const path = ['.github/workflows/ci.yml'];
  expect(createPathPolicy(['secret/**'], { unasked: false }).firstDenied(path)).toBeUndefined();
  expect(createPathPolicy(['secret/**'], { unasked: true }).firstDenied(path)).toBe(path[0]);
});

it('takes globs separated by commas, and refuses those that would mean nothing', () => {
  expect(env.DENIED_PATHS.schema.parse(' a/** , *.sql ')).toEqual(['a/**', '*.sql']);
  for (const bad of ['!src/**', '/etc/**', '../x', 'a/../b'])
    expect(env.DENIED_PATHS.schema.safeParse(bad).success, bad).toBe(false);
});

describe('a path in a workspace', () => {
  const driver = createMemoryDriver();
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await driver.create(specFor(uniqueKey()));
    await sandbox.exec('mkdir -p .github src; ln -s .github innocent; ln -s ../.github/ci.yml src/ci.yml');
  });
  afterAll(() => driver[Symbol.asyncDispose]());

  it.each(['innocent/workflows/new.yml', 'src/ci.yml', 'src/../innocent/x', './innocent'])(
    '%s is what its links lead to',
    async (path) => expect(policy.firstDenied(await meantBy(sandbox, path))).toBeDefined(),
  );

  it('may be absolute', async () => {
    const root = (await sandbox.exec('pwd -P')).output.trim();
    expect(policy.firstDenied(await meantBy(sandbox, `${root}/.github/x`))).toBeDefined();
    expect(policy.firstDenied(await meantBy(sandbox, `${root}/src/x.ts`))).toBeUndefined();
  });
});
