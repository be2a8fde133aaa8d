import { randomBytes } from 'node:crypto';
import { type GitOptions, gitText, runGit } from './git-command.ts';
import { type Sandbox, SandboxError } from './sandbox.ts';

/** The sha of git's empty tree, which every repository knows. */
export const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

/** Where HEAD was: on a branch (perhaps one without a commit yet) or detached. */
interface Position {
  head: string | undefined;
  branch: string | undefined;
}

/**
 * A commit of the whole working tree, untracked files included and ignored ones not, kept under `refs/comio/<name>`.
 * HEAD, branch and the person's index stay as they are. The same name again replaces the earlier checkpoint.
 */
export async function checkpoint(sandbox: Sandbox, name: string): Promise<string> {
  const ref = `refs/comio/${name}`;
  const [position, tree] = await Promise.all([
    positionOf(sandbox),
    workingTree(sandbox),
    runGit(sandbox, ['check-ref-format', ref]),
  ]);
  const message = `Checkpoint ${name}\n\nHead: ${position.head ?? '-'}\nBranch: ${position.branch ?? '-'}\n`;
  const parent = position.head === undefined ? [] : ['-p', position.head];
  const sha = await gitText(sandbox, ['commit-tree', tree, ...parent, '-F', '-'], { stdin: message });
  await runGit(sandbox, ['update-ref', ref, sha]);
  return sha;
}

/**
 * Files exactly as at the checkpoint (later ones removed, ignored ones left alone), HEAD and branch as they were
 * then, the index equal to HEAD. A merge or rebase begun since is forgotten. Can be repeated.
 */
export async function restore(sandbox: Sandbox, sha: string): Promise<void> {
  const position = await recordedPosition(sandbox, sha);
  await withTemporaryIndex(sandbox, async (options) => {
    await runGit(sandbox, ['read-tree', '--reset', '-u', sha], options);
  });
  await forgetOperations(sandbox);
  const { head, branch } = position;
  if (branch === undefined) {
    if (head !== undefined) await runGit(sandbox, ['update-ref', '--no-deref', 'HEAD', head]);
  } else {
    await runGit(sandbox, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
    await runGit(sandbox, ['update-ref', ...(head === undefined ? ['-d', 'HEAD'] : ['HEAD', head])]);
  }
  await indexFromHead(sandbox);
}

/** The tree of the working directory as it is now, untracked files included. */
export const workingTree = (sandbox: Sandbox): Promise<string> =>
  withTemporaryIndex(sandbox, (options) => gitText(sandbox, ['write-tree'], options));

/**
 * Makes the index what HEAD has, without marks that let git overlook a file (`skip-worktree`, `assume-unchanged`). A
 * lock left by a git that was killed is removed.
 */
export async function indexFromHead(sandbox: Sandbox): Promise<void> {
  await removeLocks(sandbox);
  await runGit(sandbox, ['read-tree', (await positionOf(sandbox)).head ?? EMPTY_TREE]);
  // 1: files differ from the index, which is no error here.
  await runGit(sandbox, ['update-index', '-q', '--refresh'], { ok: [0, 1] });
}

/** A git killed by a timeout or Stop leaves its locks, and commands of one sandbox run one after the other. */
export async function removeLocks(sandbox: Sandbox): Promise<void> {
  await sandbox.pipe(['rm', '-f', '.git/index.lock', '.git/HEAD.lock']);
}

/** Runs `work` with an index of its own that holds the working directory as it is now. */
async function withTemporaryIndex<T>(
  sandbox: Sandbox,
  work: (options: GitOptions) => Promise<T>,
): Promise<T> {
  const index = `.git/comio-index-${randomBytes(6).toString('hex')}`;
  const options = { env: { GIT_INDEX_FILE: index } };
  try {
    // What the person's index knows of the files saves reading them all; there is none before the first add.
    await sandbox.pipe(['cp', '.git/index', index]);
    // A repository inside the workspace that cannot be added is left out rather than failing the checkpoint (1).
    await runGit(sandbox, ['add', '--all', '--ignore-errors', '.'], { ...options, ok: [0, 1] });
    return await work(options);
  } finally {
    await sandbox.pipe(['rm', '-f', index, `${index}.lock`]);
  }
}

async function positionOf(sandbox: Sandbox): Promise<Position> {
  const [head, branch] = await Promise.all([
    gitText(sandbox, ['rev-parse', '--quiet', '--verify', 'HEAD'], { ok: [0, 1] }),
    gitText(sandbox, ['symbolic-ref', '--quiet', '--short', 'HEAD'], { ok: [0, 1] }),
  ]);
  return { head: head || undefined, branch: branch || undefined };
}

async function recordedPosition(sandbox: Sandbox, sha: string): Promise<Position> {
  const message = await gitText(sandbox, ['show', '--no-patch', '--format=%B', '--end-of-options', sha]);
  const head = /^Head: (\S+)$/m.exec(message)?.[1];
  const branch = /^Branch: (\S+)$/m.exec(message)?.[1];
  if (head === undefined || branch === undefined) {
    throw new SandboxError('git_failed', `${sha} is not a checkpoint`);
  }
  return { head: head === '-' ? undefined : head, branch: branch === '-' ? undefined : branch };
}

const forgetOperations = async (sandbox: Sandbox): Promise<void> => {
  const names = ['MERGE_HEAD', 'MERGE_MSG', 'MERGE_MODE', 'CHERRY_PICK_HEAD', 'REVERT_HEAD', 'rebase-merge'];
  await sandbox.pipe(['rm', '-rf', ...[...names, 'rebase-apply', 'sequencer'].map((name) => `.git/${name}`)]);
};
