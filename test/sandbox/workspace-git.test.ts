import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import * as git from '#sandbox/workspace-git.ts';
import { specFor, uniqueKey } from '#test/contracts/sandbox.ts';

const driver = createMemoryDriver();
const author = { name: 'Ada Lovelace', email: 'ada@example.org' };
let sandbox: Sandbox;

const sh = async (command: string): Promise<string> => {
  const result = await sandbox.exec(command);
  expect(result, result.output).toMatchObject({ exitCode: 0 });
  return result.output.trim();
};
const commit = (message: string) => git.commitAll(sandbox, { message, author });
const failed = expect.objectContaining({ name: 'SandboxError', code: 'git_failed' });

beforeEach(async () => {
  sandbox = await driver.create(specFor(uniqueKey()));
  return () => sandbox.destroy();
});
afterAll(() => driver[Symbol.asyncDispose]());

describe('before the first commit', () => {
  it('knows that there is no repository, and makes one, twice without complaint', async () => {
    expect(await git.isRepository(sandbox)).toBe(false);
    await git.init(sandbox, 'trunk');
    await git.init(sandbox, 'other');
    expect(await git.isRepository(sandbox)).toBe(true);
    expect(await git.currentBranch(sandbox)).toBe('trunk');
    expect(await git.head(sandbox)).toBeUndefined();
    expect(await git.log(sandbox)).toEqual([]);
    expect(await git.diff(sandbox)).toBe('');
    expect(await commit('nothing')).toBeUndefined();
  });

  it('takes a repository around the workspace for none of its own', async () => {
    await sh('git init -q ..');
    expect(await git.isRepository(sandbox)).toBe(false);
  });

  it('checkpoints and restores', async () => {
    await git.init(sandbox, 'main');
    await sandbox.files.write('a.txt', 'one\n');
    const before = await git.checkpoint(sandbox, 'start/1');
    await sandbox.files.write('a.txt', 'two\n');
    await commit('first');
    await git.restore(sandbox, before);
    expect(await git.head(sandbox)).toBeUndefined();
    expect(await git.status(sandbox)).toEqual({
      branch: 'main',
      head: undefined,
      files: [{ path: 'a.txt', index: '?', worktree: '?' }],
    });
    expect((await sandbox.files.read('a.txt')).toString()).toBe('one\n');
  });
});

describe('in a repository', () => {
  beforeEach(async () => {
    await git.init(sandbox, 'main');
    await sandbox.files.write('.gitignore', 'ignored/\n');
    await sandbox.files.write('a.txt', 'one\n');
    await sandbox.files.write('dir/b c.txt', 'b\n');
    await commit('Start\n\nWith a body.');
  });

  it('commits with the given author and message, and nothing twice', async () => {
    await sandbox.files.write('a.txt', 'two\n');
    const sha = await commit('# Not a comment');
    expect(sha).toBe(await git.head(sandbox));
    expect(await commit('again')).toBeUndefined();
    const [last, first] = await git.log(sandbox);
    expect(last).toMatchObject({ sha, subject: '# Not a comment', author });
    expect(first).toMatchObject({ subject: 'Start' });
    expect(await git.log(sandbox, { max: 1 })).toHaveLength(1);
    expect(await sh('git log -1 --format=%cn%ce')).toBe('Ada Lovelaceada@example.org');
  });

  it('commits the given paths only, whatever was staged', async () => {
    await sandbox.files.write('a.txt', 'two\n');
    await sandbox.files.write('new.txt', 'new\n');
    await sh('git add a.txt');
    await git.commitAll(sandbox, { message: 'only new', author, paths: ['new.txt'] });
    expect(await sh('git show --format= --name-only HEAD')).toBe('new.txt');
    expect((await git.status(sandbox)).files).toEqual([{ path: 'a.txt', index: '.', worktree: 'M' }]);
  });

  it('commits over the lock of a git that was killed', async () => {
    await sandbox.files.write('a.txt', 'two\n');
    await sandbox.files.write('.git/index.lock', '');
    expect(await commit('after a kill')).toMatch(/^[0-9a-f]{40}$/);
  });

  it('reads the status', async () => {
    await sandbox.files.write('a.txt', 'two\n');
    await sandbox.files.write('dir/new é.txt', 'new\n');
    await sandbox.files.write('ignored/x', 'x');
    await sh('git mv "dir/b c.txt" "dir/d e.txt"');
    expect(await git.status(sandbox)).toEqual({
      branch: 'main',
      head: await git.head(sandbox),
      files: [
        { path: 'a.txt', index: '.', worktree: 'M' },
        { path: 'dir/d e.txt', from: 'dir/b c.txt', index: 'R', worktree: '.' },
        { path: 'dir/new é.txt', index: '?', worktree: '?' },
      ],
    });
  });

  it('reads a conflict and a detached HEAD', async () => {
    await sh('git checkout -q -b side; echo side > a.txt; git commit -qam side; git checkout -q main');
    await sh('echo main > a.txt; git commit -qam main; git merge side || true');
    expect((await git.status(sandbox)).files).toEqual([{ path: 'a.txt', index: 'U', worktree: 'U' }]);
    await sh('git merge --abort; git checkout -q --detach');
    expect(await git.currentBranch(sandbox)).toBeUndefined();
    expect((await git.status(sandbox)).branch).toBeUndefined();
  });

  it('diffs with untracked files, staged ones, paths and revisions', async () => {
    await sandbox.files.write('a.txt', 'two\n');
    await sandbox.files.write('new.txt', 'new\n');
    await sandbox.files.write('bin', Buffer.from([0, 1, 2]));
    await sh('git add a.txt');
    const all = await git.diff(sandbox);
    expect(all).toContain('-one\n+two');
    expect(all).toContain('+++ b/new.txt\n@@ -0,0 +1 @@\n+new');
    expect(all).toContain('Binary files /dev/null and b/bin differ');
    expect(await git.diff(sandbox, { staged: true })).not.toContain('new.txt');
    expect(await git.diff(sandbox, { paths: ['new.txt'] })).not.toContain('a.txt');
    expect(await git.diffStat(sandbox)).toEqual({
      files: [
        { path: 'a.txt', insertions: 1, deletions: 1 },
        { path: 'bin', insertions: 0, deletions: 0 },
        { path: 'new.txt', insertions: 1, deletions: 0 },
      ],
      insertions: 2,
      deletions: 1,
    });
    await commit('second');
    expect(await git.diff(sandbox, { from: 'HEAD~1', to: 'HEAD', paths: ['a.txt'] })).toContain('+two');
    await expect(git.diff(sandbox, { from: '--output=stolen' })).rejects.toEqual(failed);
    await expect(git.diff(sandbox, { from: 'no-such' })).rejects.toEqual(failed);
  });

  it('runs nothing that the repository configures', async () => {
    await sandbox.files.write('trap', '#!/bin/sh\ntouch "$HOME/sprung"\ncat "$1" 2>/dev/null\n');
    await sh(
      'chmod +x trap; mkdir -p .git/hooks; for h in pre-commit commit-msg post-commit post-index-change reference-transaction; do cp trap .git/hooks/$h; done',
    );
    await sh(
      'git config core.fsmonitor "$PWD/trap"; git config diff.external "$PWD/trap"; git config core.pager "$PWD/trap"; git config core.hooksPath "$PWD/.git/hooks"',
    );
    await sh(
      'echo "*.txt diff=evil" > .gitattributes; git config diff.evil.textconv "$PWD/trap"; git config commit.gpgSign true; git config gpg.program "$PWD/trap"; rm -f ~/sprung',
    );
    await sandbox.files.write('a.txt', 'two\n');
    await git.status(sandbox);
    await git.diff(sandbox);
    const point = await git.checkpoint(sandbox, 'x');
    await commit('with traps');
    await git.diffStat(sandbox, { from: 'HEAD~1', to: 'HEAD' });
    await git.restore(sandbox, point);
    expect(await sh('ls -A ~')).not.toContain('sprung');
  });

  it('starts a branch where HEAD is, and moves HEAD under the files', async () => {
    const first = (await git.head(sandbox)) ?? '';
    await sandbox.files.write('a.txt', 'two\n');
    await git.startBranch(sandbox, 'comio/x');
    await git.startBranch(sandbox, 'comio/x');
    expect(await git.currentBranch(sandbox)).toBe('comio/x');
    const second = (await commit('second')) ?? '';
    expect(await git.isAncestor(sandbox, first, second)).toBe(true);
    expect(await git.isAncestor(sandbox, second, first)).toBe(false);
    await git.moveHead(sandbox, first);
    expect(await git.head(sandbox)).toBe(first);
    expect((await sandbox.files.read('a.txt')).toString()).toBe('two\n');
    expect(await sh('git rev-parse main')).toBe(first);
    await expect(git.startBranch(sandbox, '--bad')).rejects.toEqual(failed);
  });

  it('leaves HEAD, index and files alone when it takes a checkpoint', async () => {
    await sandbox.files.write('a.txt', 'staged\n');
    await sh('git add a.txt');
    await sandbox.files.write('a.txt', 'changed again\n');
    await sandbox.files.write('new.txt', 'new\n');
    const before = {
      head: await git.head(sandbox),
      status: await git.status(sandbox),
      files: await sh('ls -AR . .git'),
    };
    const sha = await git.checkpoint(sandbox, 'start/1');
    expect({ head: await git.head(sandbox), status: await git.status(sandbox) }).toEqual({
      head: before.head,
      status: before.status,
    });
    expect(await sh(`git show ${sha}:a.txt ${sha}:new.txt`)).toBe('changed again\nnew');
    expect(await sh('git rev-parse refs/comio/start/1')).toBe(sha);
    expect(await sh('ls .git')).not.toContain('comio-index');
    await expect(git.checkpoint(sandbox, '../escape')).rejects.toEqual(failed);
  });

  it('restores files, branch and index exactly, ignored files untouched, and again', async () => {
    await sandbox.files.write('keep/untracked.txt', 'untracked\n');
    await sandbox.files.write('ignored/cache', 'cache\n');
    await sh('chmod +x a.txt; ln -s a.txt link; rm "dir/b c.txt"');
    const picture =
      'find . -path ./.git -prune -o -path ./ignored -prune -o \\( -type f -o -type l \\) -printf "%p %m %l\\n" -exec cat {} + | sort';
    const before = { head: await git.head(sandbox), files: await sh(picture) };
    const point = await git.checkpoint(sandbox, 'start/1');

    await sandbox.files.write('a.txt', 'two\n');
    await sandbox.files.write('added/later.txt', 'x\n');
    await sandbox.files.write('ignored/cache', 'cache 2\n');
    await sh(
      'rm -r keep link; git checkout -q -b elsewhere; git add -A; git commit -qm elsewhere; echo more > more.txt',
    );
    for (let time = 0; time < 2; time++) {
      await git.restore(sandbox, point);
      expect(await sh(picture)).toBe(before.files);
      expect(await git.head(sandbox)).toBe(before.head);
      expect(await git.currentBranch(sandbox)).toBe('main');
      expect(await git.diff(sandbox, { staged: true })).toBe('');
      expect((await sandbox.files.read('ignored/cache')).toString()).toBe('cache 2\n');
    }
    expect(await sh('ls')).not.toContain('added');
    await expect(git.restore(sandbox, before.head ?? '')).rejects.toEqual(failed);
  });

  it('restores in the middle of a merge and over a branch that moved', async () => {
    const point = await git.checkpoint(sandbox, 'start/1');
    const first = await git.head(sandbox);
    await sh('git checkout -q -b side; echo side > a.txt; git commit -qam side; git checkout -q main');
    await sh('echo main > a.txt; git commit -qam main; git merge side || true');
    await git.restore(sandbox, point);
    expect(await git.head(sandbox)).toBe(first);
    expect(await git.status(sandbox)).toMatchObject({ branch: 'main', files: [] });
    expect(await sh('git status')).not.toContain('merg');
  });

  it('shows what leads from one checkpoint to another', async () => {
    const start = await git.checkpoint(sandbox, 'start/1');
    await sandbox.files.write('new.txt', 'new\n');
    const end = await git.checkpoint(sandbox, 'end/1');
    expect(await git.diffTrees(sandbox, start, end)).toContain('+++ b/new.txt');
    expect(await git.diffTrees(sandbox, end, start)).toContain('--- a/new.txt');
    expect(await git.diffTrees(sandbox, start, start)).toBe('');
  });

  it('takes a checkpoint although a repository without a commit lies inside', async () => {
    await sh('git init -q inner; echo x > inner/x; echo y > y');
    const sha = await git.checkpoint(sandbox, 'start/1');
    expect(await sh(`git ls-tree -r --name-only ${sha}`)).toContain('y');
  });
});
