import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Forge, ForgeError, type Repository, type RepositoryRef } from '#adapters/forge/forge.ts';
import { createTempDir } from '../support/temp-dir.ts';

const run = promisify(execFile);

export interface RecordedDeployment {
  sha: string;
  environment: string;
  /** Oldest first; the URL where one was given. */
  statuses: { status: string; url: string }[];
}

/** One forge, and the other people's side of it. */
export interface ForgeHarness extends AsyncDisposable {
  readonly forge: Forge;
  /** Somebody else's repository, which we may see and write to, with a commit on `main`. */
  addRepository(name: string, files: Record<string, string>): Promise<RepositoryRef>;
  closePullRequest(ref: RepositoryRef, number: number): Promise<void>;
  /** How many pull requests there are, open or not. */
  countPullRequests(ref: RepositoryRef): Promise<number>;
  /** What the forge shows of deployments, oldest first; undefined where it keeps no record of them. */
  deployments?: ((ref: RepositoryRef) => RecordedDeployment[]) | undefined;
}

const git = async (cwd: string, ...argv: string[]): Promise<string> => {
  const identity = ['-c', 'user.name=Tester', '-c', 'user.email=tester@localhost'];
  const { stdout } = await run('git', [...identity, ...argv], {
    cwd,
    env: { ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_GLOBAL: '/dev/null' },
  });
  return stdout.trim();
};

/** What every forge does, seen by git and by the port. */
export function forgeContract(name: string, setup: () => Promise<ForgeHarness>): void {
  describe(`${name} as a forge`, () => {
    let harness: ForgeHarness;
    let forge: Forge;
    const clones = new AsyncDisposableStack();
    let count = 0;
    const unique = (what: string) => {
      count += 1;
      return `${what}-${count}`;
    };
    const options = { description: 'Cooking recipes', private: false };

    beforeAll(async () => {
      harness = await setup();
      forge = harness.forge;
    });
    afterAll(async () => {
      await clones.disposeAsync();
      await harness?.[Symbol.asyncDispose]();
    });

    /** As the core does it: with the credentials of the forge, and none in the URL. */
    const withCredentials = async (repository: Repository): Promise<string> => {
      const { username, password } = await forge.credentials(repository);
      const url = repository.cloneUrl;
      if (!url.startsWith('http')) return url;
      const signed = new URL(url);
      signed.username = username;
      signed.password = password;
      return signed.href;
    };

    const pushBranch = async (repository: Repository, branch: string, text: string): Promise<string> => {
      await using directory = await createTempDir();
      const at = directory.path;
      const url = await withCredentials(repository);
      await git(at, 'clone', '--quiet', url, '.');
      const [known] = (await git(at, 'branch', '--remotes', '--list', `origin/${branch}`)).split('\n');
      await git(at, 'checkout', '--quiet', '-B', branch, ...(known ? [`origin/${branch}`] : []));
      await writeFile(join(at, 'file.txt'), text);
      await git(at, 'add', '.');
      await git(at, 'commit', '--quiet', '-m', `Say ${text}`);
      await git(at, 'push', '--quiet', url, `HEAD:refs/heads/${branch}`);
      return await git(at, 'rev-parse', 'HEAD');
    };

    const existing = async (): Promise<Repository> => {
      const ref = await harness.addRepository(unique('theirs'), { 'README.md': '# Theirs\n' });
      const found = await forge.repository(ref);
      if (!found) throw new Error('the repository is not seen');
      return found;
    };

    const codeOf = async (work: Promise<unknown>): Promise<string> => {
      const error = await work.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(ForgeError);
      // A person reads it.
      expect((error as ForgeError).message).toMatch(/ .+[.:!]|: /);
      return (error as ForgeError).code;
    };

    it('knows its own repositories by name and by address', async () => {
      const { owner, name: repo, htmlUrl } = await existing();
      expect(forge.parseRepository(`${owner}/${repo}`)).toEqual({ owner, name: repo });
      expect(forge.parseRepository(`  ${owner}/${repo}\n`)).toEqual({ owner, name: repo });
      expect(forge.parseRepository(htmlUrl)).toEqual({ owner, name: repo });
      expect(forge.parseRepository(`${htmlUrl}.git`)).toEqual({ owner, name: repo });
      for (const other of ['', 'one', 'a/b/c', 'https://example.com/a/b', 'a b/c', '../etc', '-x/y', 'a/..'])
        expect(forge.parseRepository(other), other).toBeUndefined();
    });

    it('shows a repository, and nothing where there is none', async () => {
      const repository = await existing();
      expect(repository).toMatchObject({ defaultBranch: 'main', private: false });
      expect(repository.cloneUrl).not.toContain('@');
      expect(await forge.repository({ owner: repository.owner, name: 'nothing-here' })).toBeUndefined();
    });

    it('creates a repository once, however often it is asked', async () => {
      const wanted = unique('recipes');
      const first = await forge.createRepository(wanted, options);
      expect(first).toMatchObject({ name: wanted, defaultBranch: 'main', private: false });
      expect(await forge.createRepository(wanted, options)).toEqual(first);
      expect(await forge.repository(first)).toEqual(first);
      const sha = await pushBranch(first, 'main', 'hello');
      expect(sha).toMatch(/^[0-9a-f]{40}$/);
      // Now it is somebody's work, which a new project must not be mixed with.
      expect(await codeOf(forge.createRepository(wanted, options))).toBe('name_taken');
    });

    it('creates a private repository that can be cloned and pushed to', async () => {
      const made = await forge.createRepository(unique('secret'), { ...options, private: true });
      expect(made.private).toBe(true);
      await pushBranch(made, 'main', 'quiet');
      await using directory = await createTempDir();
      await git(directory.path, 'clone', '--quiet', await withCredentials(made), '.');
      expect(await git(directory.path, 'log', '--format=%s')).toBe('Say quiet');
    });

    it('opens one pull request for a branch and keeps it up to date', async () => {
      const repository = await existing();
      const sha = await pushBranch(repository, 'comio/one', 'first');
      const request = { head: 'comio/one', base: 'main', title: 'First title', body: 'Why' };
      const opened = await forge.openPullRequest(repository, request);
      expect(opened).toMatchObject({
        headBranch: 'comio/one',
        baseBranch: 'main',
        headSha: sha,
        state: 'open',
        title: 'First title',
      });
      expect(opened.url).toContain(String(opened.number));
      const again = await forge.openPullRequest(repository, { ...request, title: 'Better title' });
      expect(again).toEqual({ ...opened, title: 'Better title' });
      expect(await forge.pullRequest(repository, opened.number)).toEqual(again);
      expect(await harness.countPullRequests(repository)).toBe(1);

      const next = await pushBranch(repository, 'comio/one', 'second');
      expect((await forge.pullRequest(repository, opened.number))?.headSha).toBe(next);

      await pushBranch(repository, 'comio/two', 'other');
      const other = await forge.openPullRequest(repository, { ...request, head: 'comio/two' });
      expect(other.number).not.toBe(opened.number);
    });

    it('opens another pull request when somebody closed the first', async () => {
      const repository = await existing();
      await pushBranch(repository, 'comio/again', 'text');
      const request = { head: 'comio/again', base: 'main', title: 'Title', body: '' };
      const first = await forge.openPullRequest(repository, request);
      await harness.closePullRequest(repository, first.number);
      expect((await forge.pullRequest(repository, first.number))?.state).toBe('closed');
      const second = await forge.openPullRequest(repository, request);
      expect(second).toMatchObject({ state: 'open' });
      expect(second.number).not.toBe(first.number);
    });

    it('refuses a pull request of nothing', async () => {
      const repository = await existing();
      const request = { base: 'main', title: 'Title', body: '' };
      expect(await codeOf(forge.openPullRequest(repository, { ...request, head: 'not-pushed' }))).toBe(
        'invalid',
      );
      await git(
        await cloneHere(repository),
        'push',
        '--quiet',
        await withCredentials(repository),
        'HEAD:refs/heads/same',
      );
      expect(await codeOf(forge.openPullRequest(repository, { ...request, head: 'same' }))).toBe('invalid');
      expect(await harness.countPullRequests(repository)).toBe(0);
    });

    it('records a deployment once, with what was said of it', async () => {
      const { deployments } = forge;
      expect(deployments === undefined).toBe(harness.deployments === undefined);
      if (!deployments || !harness.deployments) return;
      const repository = await existing();
      const sha = await pushBranch(repository, 'main', 'to be deployed');
      const request = { key: 'one', sha, environment: 'staging', production: false, description: 'Of main' };
      const id = await deployments.open(repository, request);
      expect(await deployments.open(repository, request)).toBe(id);
      const other = await deployments.open(repository, { ...request, key: 'two' });
      expect(other).not.toBe(id);
      await deployments.tell(repository, id, { status: 'in_progress' });
      const url = 'http://shop.example.com';
      for (let time = 0; time < 2; time += 1)
        await deployments.tell(repository, id, { status: 'success', url });
      await deployments.tell(repository, id, { status: 'inactive' });
      const [first, second, ...more] = harness.deployments(repository);
      expect(more).toEqual([]);
      expect(first).toEqual({
        sha,
        environment: 'staging',
        statuses: [
          { status: 'in_progress', url: '' },
          { status: 'success', url },
          { status: 'inactive', url: '' },
        ],
      });
      expect(second?.statuses).toEqual([]);
      const nowhere = { owner: 'nobody-at-all', name: 'nothing' };
      expect(await codeOf(deployments.open(nowhere, request))).toBe('not_installed');
    });

    it('says what to do where it may do nothing', async () => {
      const nowhere = { owner: 'nobody-at-all', name: 'nothing' };
      expect(await codeOf(forge.credentials(nowhere))).toBe('not_installed');
      const request = { head: 'a', base: 'main', title: 'T', body: '' };
      expect(await codeOf(forge.openPullRequest(nowhere, request))).toBe('not_installed');
      const repository = await existing();
      expect(await forge.pullRequest(repository, 9999)).toBeUndefined();
    });

    const cloneHere = async (repository: Repository): Promise<string> => {
      const directory = clones.use(await createTempDir());
      await git(directory.path, 'clone', '--quiet', await withCredentials(repository), '.');
      return directory.path;
    };
  });
}
