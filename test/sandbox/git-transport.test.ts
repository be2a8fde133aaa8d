import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { createGitTransport, type GitTransport } from '#sandbox/git-transport.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import * as git from '#sandbox/workspace-git.ts';
import { specFor, uniqueKey } from '#test/contracts/sandbox.ts';
import { createGitServer, type GitServer } from '#test/support/git-server.ts';
import { silentLog } from '#test/support/silent-log.ts';

const driver = createMemoryDriver();
const author = { name: 'Ada Lovelace', email: 'ada@example.org' };
const failed = expect.objectContaining({ name: 'SandboxError', code: 'git_failed' });
let server: GitServer;
let dataDir: string;
let transport: GitTransport;
let sandbox: Sandbox;
let url: string;
let directory: string;

const sh = async (command: string, where = sandbox): Promise<string> => {
  const result = await where.exec(command);
  expect(result, result.output).toMatchObject({ exitCode: 0 });
  return result.output.trim();
};
const commit = async (path: string, content: string, where = sandbox): Promise<string> => {
  await where.files.write(path, content);
  return (await git.commitAll(where, { message: `Write ${path}`, author })) ?? '';
};
const remote = () => ({ url, credentials: server.credentials });

beforeAll(async () => {
  server = await createGitServer();
});
afterAll(async () => {
  await driver[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
/** A remote with two commits on main and one more on feature; an empty sandbox; no mirror yet. */
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'comio-mirrors-'));
  transport = createGitTransport({ dataDir, log: silentLog });
  ({ url, directory } = await server.create(uniqueKey()));
  sandbox = await driver.create(specFor(uniqueKey()));
  return async () => {
    server.onRequest = undefined;
    await sandbox.destroy();
    await rm(dataDir, { recursive: true });
  };
});

async function seed(): Promise<{ main: string; feature: string }> {
  const seeder = await driver.create(specFor(uniqueKey()));
  await git.init(seeder, 'main');
  await commit('a.txt', 'one\n', seeder);
  await seeder.exec('ln -s a.txt link; echo "#!/bin/sh" > run.sh; chmod +x run.sh');
  const main = await commit('dir/b.txt', 'b\n', seeder);
  await transport.push(seeder, { ...remote(), branch: 'main', sha: main });
  await git.startBranch(seeder, 'feature/x');
  const feature = await commit('c.txt', 'c\n', seeder);
  await transport.push(seeder, { ...remote(), branch: 'feature/x', sha: feature });
  await seeder.destroy();
  return { main, feature };
}

describe('cloneInto', () => {
  it('starts the branch at the default branch, with history, modes, links and origin', async () => {
    const { main } = await seed();
    expect(await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' })).toEqual({ head: main });
    expect(await git.status(sandbox)).toEqual({ branch: 'comio/1', head: main, files: [] });
    expect(await git.log(sandbox)).toHaveLength(2);
    expect(await sh('readlink link; stat -c %a run.sh; cat dir/b.txt')).toBe('a.txt\n755\nb');
    expect(await sh('git remote get-url origin')).toBe(url);
    expect(await sh('git rev-parse origin/main')).toBe(main);
    expect(await sh('git fsck --strict 2>&1; git status --short')).not.toContain('error');
    expect(await sh('git config --local --list')).not.toMatch(/worktree|extraheader/i);
  });

  it('starts at the branch that is asked for, again from the mirror', async () => {
    const { feature } = await seed();
    for (let time = 0; time < 2; time++) {
      const other = await driver.create(specFor(uniqueKey()));
      await transport.cloneInto(other, { ...remote(), ref: 'feature/x', branch: 'feature/x' });
      expect(await git.head(other)).toBe(feature);
      expect(await git.currentBranch(other)).toBe('feature/x');
      await other.destroy();
    }
    expect(await readdir(dataDir)).toHaveLength(1);
  });

  it('leaves a workspace that is a repository as it is', async () => {
    await seed();
    await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' });
    const sha = await commit('mine.txt', 'mine\n');
    await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' });
    expect(await git.head(sandbox)).toBe(sha);
  });

  it('is all or nothing, and can be repeated after it was cut off', async () => {
    const { main } = await seed();
    let calls = 0;
    const cutOff: Sandbox = {
      ...sandbox,
      pipe: (argv, options) => {
        calls += 1;
        return argv.includes('read-tree') ? Promise.reject(new Error('killed')) : sandbox.pipe(argv, options);
      },
    };
    await expect(transport.cloneInto(cutOff, { ...remote(), branch: 'comio/1' })).rejects.toThrow('killed');
    expect(calls).toBeGreaterThan(3);
    expect(await git.isRepository(sandbox)).toBe(false);
    await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' });
    expect(await git.status(sandbox)).toEqual({ branch: 'comio/1', head: main, files: [] });
    expect(await sh('ls -A')).not.toContain('cloning');
  });

  it('makes an empty repository of an empty remote, and its first push the remote’s first branch', async () => {
    expect(await transport.cloneInto(sandbox, { ...remote(), branch: 'main' })).toEqual({ head: undefined });
    expect(await git.currentBranch(sandbox)).toBe('main');
    const sha = await commit('a.txt', 'a\n');
    await transport.push(sandbox, { ...remote(), branch: 'main', sha });
    expect(await server.git(directory, 'rev-parse', 'main')).toBe(sha);
  });

  it('names a branch that is not there, a wrong password, and an address it does not take', async () => {
    await seed();
    const clone = (request: object) =>
      transport.cloneInto(sandbox, { ...remote(), branch: 'x', ...request }).catch((error: unknown) => error);
    expect(await clone({ ref: 'nowhere' })).toEqual(failed);
    expect(await clone({ credentials: { username: 'x', password: 'wrong' } })).toEqual(failed);
    expect(await clone({ credentials: undefined })).toEqual(failed);
    for (const bad of [
      directory,
      `file://${directory}`,
      'ext::sh -c touch% /tmp/x',
      url.replace('://', '://u:p@'),
    ]) {
      expect(await clone({ url: bad })).toEqual(failed);
    }
    for (const bad of ['--upload-pack=x', 'a..b', 'a b', '', 'x.lock', '/x', 'HEAD']) {
      expect(await clone({ branch: bad })).toEqual(failed);
      expect(await clone({ ref: bad })).toEqual(failed);
    }
    expect(await git.isRepository(sandbox)).toBe(false);
  });

  it('ends with the signal, and leaves the mirror usable', async () => {
    const { main } = await seed();
    const controller = new AbortController();
    const reason = new Error('stopped');
    server.onRequest = async (request) => {
      if (!request.url?.includes('git-upload-pack')) return;
      controller.abort(reason);
      await new Promise((resolve) => request.socket.once('close', resolve));
    };
    const cloning = transport.cloneInto(sandbox, { ...remote(), branch: 'x', signal: controller.signal });
    await expect(cloning).rejects.toBe(reason);
    server.onRequest = undefined;
    expect(await transport.cloneInto(sandbox, { ...remote(), branch: 'x' })).toEqual({ head: main });
  });
});

it('starts at a commit that a branch contains, and says when none does', async () => {
  const { main, feature } = await seed();
  const { head } = await transport.cloneInto(sandbox, { ...remote(), commit: feature, branch: 'comio/1' });
  expect(head).toBe(feature);
  expect(await sh('git rev-parse HEAD; git status --short; cat c.txt')).toBe(`${feature}\nc`);
  const contains = (ancestor: string, commit: string) =>
    transport.contains({ ...remote(), ancestor, commit });
  expect(await contains(main, feature)).toBe(true);
  expect(await contains(feature, feature)).toBe(true);
  expect(await contains(feature, main)).toBe(false);
  expect(await contains('0123456789012345678901234567890123456789', main)).toBe(false);
  const other = await driver.create(specFor(uniqueKey()));
  const commit = '0123456789012345678901234567890123456789';
  await expect(transport.cloneInto(other, { ...remote(), commit, branch: 'comio/2' })).rejects.toEqual(
    failed,
  );
  expect(await git.isRepository(other)).toBe(false);
  await other.destroy();
});

describe('push', () => {
  it('tells what the commits touch that the remote does not have, and pushes nothing if that is refused', async () => {
    await seed();
    await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' });
    await commit('kept.txt', 'kept\n');
    await commit('.github/workflows/ci.yml', 'on: push\n');
    await sh('git rm -q -r .github');
    const cleaned = await commit('other.txt', 'other\n');
    // What the sandbox says the remote has is not believed.
    await sh('git update-ref refs/remotes/origin/main HEAD');
    const seen: (readonly string[])[] = [];
    const refuse = (paths: readonly string[]) => {
      seen.push(paths);
      throw new Error('refused');
    };
    const pushing = transport.push(sandbox, {
      ...remote(),
      branch: 'comio/1',
      sha: cleaned,
      inspect: refuse,
    });
    await expect(pushing).rejects.toThrow('refused');
    expect(seen.map((paths) => paths.toSorted())).toEqual([
      ['.github/workflows/ci.yml', 'kept.txt', 'other.txt'],
    ]);
    expect(await transport.readRemoteHead({ ...remote(), branch: 'comio/1' })).toBeUndefined();
  });

  describe('tells of a merge', () => {
    const touchedBy = async (sha: string): Promise<readonly string[]> => {
      let seen: readonly string[] = [];
      const inspect = (paths: readonly string[]) => {
        seen = paths.toSorted();
      };
      await transport.push(sandbox, { ...remote(), branch: 'comio/1', sha, inspect });
      return seen;
    };
    const CI = '.github/workflows/ci.yml';
    let old: string;
    beforeEach(async () => {
      await seed();
      await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' });
      await sh('git config user.name Ada; git config user.email ada@example.org');
      old = await commit(CI, 'on: pull_request_target\n');
      await commit(CI, 'on: push\n');
      const main = await commit('CODEOWNERS', '* @ada\n');
      await transport.push(sandbox, { ...remote(), branch: 'main', sha: main });
    });

    it.each([
      ['two', ''],
      ['three', '-p $(git commit-tree HEAD^{tree} -p HEAD -m side)'],
    ])('of %s what it takes back to how it was once', async (_, more) => {
      const sha = await sh(`git commit-tree ${old}^{tree} -p HEAD -p ${old} ${more} -m merge`);
      expect(await touchedBy(sha)).toEqual([CI, 'CODEOWNERS']);
    });

    it('nothing that others changed on the side it brings in', async () => {
      await sh(`git checkout -q -b work ${old}`);
      await commit('own.txt', 'own\n');
      await sh('git merge -q --no-edit comio/1');
      expect(await touchedBy(await sh('git rev-parse HEAD'))).toEqual(['own.txt']);
    });

    it('what was made of a conflict', async () => {
      await sh(`git checkout -q -b work ${old}~1; echo a > a.txt; git commit -qam a`);
      await sh('git checkout -q comio/1; echo b > a.txt; git commit -qam b');
      await transport.push(sandbox, { ...remote(), branch: 'main', sha: await sh('git rev-parse HEAD') });
      await sh('git merge -q work || true; echo c > a.txt; git commit -qam merge');
      expect(await touchedBy(await sh('git rev-parse HEAD'))).toEqual(['a.txt']);
    });
  });

  it('brings new commits to a new branch, once however often it is called', async () => {
    const { main } = await seed();
    await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' });
    const sha = await commit('new.txt', 'new\n');
    const push = () => transport.push(sandbox, { ...remote(), branch: 'comio/1', sha });
    await Promise.all([push(), push()]);
    const count = server.requests.filter((request) => request.path.endsWith('git-receive-pack')).length;
    await push();
    expect(await server.git(directory, 'rev-parse', 'comio/1', 'main')).toBe(`${sha}\n${main}`);
    expect(server.requests.filter((request) => request.path.endsWith('git-receive-pack'))).toHaveLength(
      count,
    );
    expect(await sh('git rev-parse origin/comio/1')).toBe(sha);
    expect(await transport.readRemoteHead({ ...remote(), branch: 'comio/1' })).toBe(sha);
    expect(await transport.readRemoteHead({ ...remote(), branch: 'none' })).toBeUndefined();
    const next = await commit('next.txt', 'next\n');
    await transport.push(sandbox, { ...remote(), branch: 'comio/1', sha: next });
    await push();
    expect(await server.git(directory, 'rev-parse', 'comio/1')).toBe(next);
  });

  it('does not overwrite what others pushed meanwhile', async () => {
    const { main } = await seed();
    await transport.cloneInto(sandbox, { ...remote(), branch: 'main' });
    const tree = await server.git(directory, 'rev-parse', 'main^{tree}');
    const theirs = await server.git(directory, 'commit-tree', tree, '-p', main, '-m', 'theirs');
    await server.git(directory, 'update-ref', 'refs/heads/main', theirs);
    const sha = await commit('mine.txt', 'mine\n');
    const pushing = transport.push(sandbox, { ...remote(), branch: 'main', sha });
    await expect(pushing).rejects.toEqual(failed);
    await expect(pushing).rejects.toThrow('does not build upon');
    expect(await server.git(directory, 'rev-parse', 'main')).toBe(theirs);
  });

  it('does not overwrite what others push between its look and its push', async () => {
    const { main } = await seed();
    await transport.cloneInto(sandbox, { ...remote(), branch: 'main' });
    const sha = await commit('mine.txt', 'mine\n');
    const tree = await server.git(directory, 'rev-parse', 'main^{tree}');
    const theirs = await server.git(directory, 'commit-tree', tree, '-p', main, '-m', 'theirs');
    server.onRequest = async (request) => {
      if (!request.url?.includes('service=git-receive-pack')) return;
      await server.git(directory, 'update-ref', 'refs/heads/main', theirs);
    };
    await expect(transport.push(sandbox, { ...remote(), branch: 'main', sha })).rejects.toEqual(failed);
    expect(await server.git(directory, 'rev-parse', 'main')).toBe(theirs);
  });

  it('names a commit that the sandbox does not have, or that is none', async () => {
    await seed();
    await transport.cloneInto(sandbox, { ...remote(), branch: 'main' });
    for (const sha of ['0123456789012345678901234567890123456789', 'HEAD', '--all']) {
      await expect(transport.push(sandbox, { ...remote(), branch: 'x', sha })).rejects.toEqual(failed);
    }
  });

  it('takes no commit whose objects are missing or broken', async () => {
    await git.init(sandbox, 'main');
    const sha = await commit('a.txt', 'secret of another repository\n');
    const blob = await sh('git rev-parse HEAD:a.txt');
    const packOf = (names: string) =>
      sh(`printf '%s\\n' ${names} | git pack-objects -q --stdout | base64 -w0`);
    const tree = await sh('git rev-parse HEAD^{tree}');
    const evil = await sh(
      'printf "tree %s\\nauthor x\\n\\nbad\\n" $(git rev-parse HEAD^{tree}) | git hash-object --literally -w -t commit --stdin',
    );
    const lying = (pack: string): Sandbox => ({
      ...sandbox,
      pipe: (argv, options) =>
        argv.includes('pack-objects')
          ? Promise.resolve({ exitCode: 0, stdout: Buffer.from(pack, 'base64'), stderr: '' })
          : sandbox.pipe(argv, options),
    });
    const push = (pack: string, what: string) =>
      transport
        .push(lying(pack), { ...remote(), branch: 'main', sha: what })
        .catch((error: unknown) => error);
    expect(await push(await packOf(`${sha} ${tree}`), sha)).toEqual(failed);
    expect(await push(await packOf(`${evil} ${tree} ${blob}`), evil)).toEqual(failed);
    expect(await push(Buffer.from('PACK not really').toString('base64'), sha)).toEqual(failed);
    expect(await transport.readRemoteHead({ ...remote(), branch: 'main' })).toBeUndefined();
    expect(await push(await packOf(`${sha} ${tree} ${blob}`), sha)).toBeUndefined();
  });

  it('runs nothing of the sandbox’s repository', async () => {
    await seed();
    await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' });
    await sh(
      'mkdir -p .git/hooks; printf "#!/bin/sh\\ntouch $HOME/sprung\\n" > .git/hooks/pre-push; cp .git/hooks/pre-push .git/hooks/reference-transaction; chmod +x .git/hooks/*',
    );
    await sh(
      'git config core.fsmonitor "touch $HOME/sprung"; git config remote.origin.uploadpack "touch $HOME/sprung"; git config credential.helper "!touch $HOME/sprung"',
    );
    await sh('rm -f ~/sprung');
    const sha = await commit('x.txt', 'x\n');
    await transport.push(sandbox, { ...remote(), branch: 'comio/1', sha });
    expect(await sh('ls -A ~')).not.toContain('sprung');
  });
});

describe('credentials', () => {
  it('reach the server, and neither the sandbox nor the disk nor an argument list', async () => {
    const seen: string[] = [];
    server.onRequest = async () => {
      const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
      for (const pid of pids) seen.push(await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => ''));
    };
    const { main } = await seed();
    await transport.cloneInto(sandbox, { ...remote(), branch: 'comio/1' });
    const sha = await commit('x.txt', 'x\n');
    await transport.push(sandbox, { ...remote(), branch: 'comio/1', sha });
    expect(main).not.toBe(sha);
    const { password } = server.credentials;
    const encoded = Buffer.from(`x-access-token:${password}`).toString('base64');
    expect(server.requests.at(-1)?.authorization).toBe(`Basic ${encoded}`);
    expect(seen.some((line) => line.includes('git-remote-http') || line.includes('remote-http'))).toBe(true);
    for (const secret of [password, encoded]) {
      expect(seen.filter((line) => line.includes(secret))).toEqual([]);
      expect(await sh(`grep -rlaF ${secret} . ~ || true`)).toBe('');
      const host = await driver.create(specFor(uniqueKey()));
      expect(await sh(`grep -rlaF ${secret} ${dataDir} || true`, host)).toBe('');
      await host.destroy();
    }
  });
});
