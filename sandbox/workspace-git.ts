import { EMPTY_TREE, indexFromHead, removeLocks, workingTree } from './git-checkpoints.ts';
import { type Author, gitText, identity, runGit } from './git-command.ts';
import { type Sandbox, SandboxError } from './sandbox.ts';

export { checkpoint, indexFromHead, restore } from './git-checkpoints.ts';

/*
 * Git in a sandbox's workspace, without running anything the repository configures. All functions throw
 * SandboxError `git_failed` with git's own words.
 */

export interface StatusFile {
  path: string;
  /** Before a rename. */
  from?: string | undefined;
  /** As in `git status --short`: M A D R C U, `?` untracked, `.` unchanged. */
  index: string;
  worktree: string;
}

export interface Status {
  /** undefined when HEAD is detached. */
  branch: string | undefined;
  /** undefined before the first commit. */
  head: string | undefined;
  files: StatusFile[];
}

export interface DiffOptions {
  /** A commit or tree. Default: HEAD, or nothing at all before the first commit. */
  from?: string | undefined;
  /** A commit or tree. Default: the working directory, untracked files included. */
  to?: string | undefined;
  paths?: readonly string[] | undefined;
  /** Compare with what is staged instead of the working directory. */
  staged?: boolean | undefined;
  /** Shows every file as text, whatever attributes or its bytes say. Default: binary files are named, not shown. */
  text?: boolean | undefined;
  /** Of the diff's text; see Sandbox.pipe. */
  maxBytes?: number | undefined;
}

export interface DiffStat {
  /** A binary file counts 0 lines. */
  files: { path: string; insertions: number; deletions: number }[];
  insertions: number;
  deletions: number;
}

export interface LogEntry {
  sha: string;
  subject: string;
  author: Author;
  date: Date;
}

export const isRepository = async (sandbox: Sandbox): Promise<boolean> =>
  (await runGit(sandbox, ['rev-parse', '--git-dir'], { ok: [0, 128] })).exitCode === 0;

/** Makes the workspace a repository whose first commit will be on `branch`; nothing if it is one. */
export async function init(sandbox: Sandbox, branch: string): Promise<void> {
  if (await isRepository(sandbox)) return;
  const damaged = await setAside(sandbox, DAMAGED);
  await runGit(sandbox, ['init', '--quiet', '--template=', `--initial-branch=${branch}`]);
  if (damaged) await sandbox.pipe(['mv', DAMAGED, '.git/damaged']);
}

const DAMAGED = '.git-damaged';

/**
 * Moves what is in the place of a repository and none (code in the workspace can do that to it) to `path`, so that one
 * can be made there and a person can still save what was in the other. False when there is nothing.
 */
export async function setAside(sandbox: Sandbox, path: string): Promise<boolean> {
  await sandbox.pipe(['rm', '-rf', path]);
  return (await sandbox.pipe(['mv', '.git', path])).exitCode === 0;
}

/** undefined before the first commit. */
export const head = async (sandbox: Sandbox): Promise<string | undefined> =>
  (await gitText(sandbox, ['rev-parse', '--quiet', '--verify', 'HEAD'], { ok: [0, 1] })) || undefined;

/** undefined when HEAD is detached. */
export const currentBranch = async (sandbox: Sandbox): Promise<string | undefined> =>
  (await gitText(sandbox, ['symbolic-ref', '--quiet', '--short', 'HEAD'], { ok: [0, 1] })) || undefined;

export async function status(sandbox: Sandbox): Promise<Status> {
  const text = await gitText(sandbox, [
    'status',
    '--porcelain=v2',
    '--branch',
    '--untracked-files=all',
    '-z',
  ]);
  return parseStatus(text);
}

/** git-status(1), "Porcelain Format Version 2" with `-z`. */
function parseStatus(text: string): Status {
  const result: Status = { branch: undefined, head: undefined, files: [] };
  const records = text.split('\0').values();
  for (const record of records) {
    const kind = record[0];
    const fields = record.split(' ');
    if (kind === '#') {
      if (fields[1] === 'branch.oid' && fields[2] !== '(initial)') result.head = fields[2];
      if (fields[1] === 'branch.head' && fields[2] !== '(detached)') result.branch = fields[2];
    } else if (kind === '?') {
      result.files.push({ path: record.slice(2), index: '?', worktree: '?' });
    } else if (kind === '1' || kind === '2' || kind === 'u') {
      const [index = '.', worktree = '.'] = fields[1] ?? '';
      const path = fields.slice({ '1': 8, '2': 9, u: 10 }[kind]).join(' ');
      const from = kind === '2' ? records.next().value : undefined;
      result.files.push({ path, from, index, worktree });
    }
  }
  return result;
}

/** A repository's settings hide nothing of a diff and run nothing for it. */
const AS_IT_IS = [
  '--no-ext-diff',
  '--no-textconv',
  '--no-color',
  '--ignore-submodules=none',
  '--submodule=short',
  '--src-prefix=a/',
  '--dst-prefix=b/',
];

/** A unified diff; '' when nothing differs. */
export async function diff(sandbox: Sandbox, options: DiffOptions = {}): Promise<string> {
  const argv = ['diff', ...AS_IT_IS, ...(options.text ? ['--text'] : []), ...(await range(sandbox, options))];
  return await gitText(sandbox, argv, { maxBytes: options.maxBytes });
}

export async function diffStat(sandbox: Sandbox, options: DiffOptions = {}): Promise<DiffStat> {
  const text = await gitText(sandbox, [
    'diff',
    ...AS_IT_IS,
    '--no-renames',
    '--numstat',
    '-z',
    ...(await range(sandbox, options)),
  ]);
  const files = text
    .split('\0')
    .filter((record) => record !== '')
    .map((record) => {
      const [insertions, deletions, ...path] = record.split('\t');
      return {
        path: path.join('\t'),
        insertions: Number(insertions) || 0,
        deletions: Number(deletions) || 0,
      };
    });
  return {
    files,
    insertions: files.reduce((sum, file) => sum + file.insertions, 0),
    deletions: files.reduce((sum, file) => sum + file.deletions, 0),
  };
}

/** The diff that leads from one checkpoint (or commit) to another. */
export const diffTrees = (sandbox: Sandbox, from: string, to: string): Promise<string> =>
  diff(sandbox, { from, to });

async function range(sandbox: Sandbox, { from, to, paths = [], staged }: DiffOptions): Promise<string[]> {
  const start = from === undefined ? ((await head(sandbox)) ?? EMPTY_TREE) : await treeOf(sandbox, from);
  const rest = ['--', ...paths];
  if (staged) return ['--cached', start, ...rest];
  return [start, to === undefined ? await workingTree(sandbox) : await treeOf(sandbox, to), ...rest];
}

/** The tree that `revision` stands for, so that nothing a caller passes on is read as an option. */
const treeOf = (sandbox: Sandbox, revision: string): Promise<string> =>
  gitText(sandbox, ['rev-parse', '--verify', '--end-of-options', `${revision}^{tree}`]).then(lastLine);

/** `rev-parse --end-of-options` of git before 2.41 echoes the option as a line of its own. */
const lastLine = (text: string): string => text.slice(text.lastIndexOf('\n') + 1);

/**
 * Commits the working directory (of `paths`, if given, and then nothing else) and returns the commit; undefined when
 * there is nothing to commit.
 */
export async function commitAll(
  sandbox: Sandbox,
  options: { message: string; author: Author; paths?: readonly string[] | undefined },
): Promise<string | undefined> {
  await removeLocks(sandbox);
  if (options.paths !== undefined) await indexFromHead(sandbox);
  await runGit(sandbox, ['add', '--all', '--', ...(options.paths ?? ['.'])]);
  const before = await head(sandbox);
  const staged = await runGit(sandbox, ['diff', '--cached', '--quiet', before ?? EMPTY_TREE], { ok: [0, 1] });
  if (staged.exitCode === 0) return undefined;
  await runGit(sandbox, ['commit', '--quiet', '--no-verify', '--cleanup=whitespace', '-F', '-'], {
    stdin: options.message,
    env: identity(options.author),
  });
  return await head(sandbox);
}

/** Newest first. */
export async function log(sandbox: Sandbox, options: { max?: number } = {}): Promise<LogEntry[]> {
  if ((await head(sandbox)) === undefined) return [];
  const text = await gitText(sandbox, [
    'log',
    '-z',
    `--max-count=${options.max ?? 20}`,
    '--format=%H%n%an%n%ae%n%aI%n%s',
  ]);
  return text
    .split('\0')
    .filter((record) => record !== '')
    .map((record) => {
      const [sha = '', name = '', email = '', date = '', subject = ''] = record.split('\n');
      return { sha, subject, author: { name, email }, date: new Date(date) };
    });
}

/** Goes on, from where HEAD is and without touching a file, on `branch`; one of that name is moved here. */
export async function startBranch(sandbox: Sandbox, branch: string): Promise<void> {
  await runGit(sandbox, ['check-ref-format', '--branch', branch]);
  const sha = await head(sandbox);
  if (sha !== undefined) await runGit(sandbox, ['update-ref', `refs/heads/${branch}`, sha]);
  await runGit(sandbox, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
}

export async function isAncestor(sandbox: Sandbox, ancestor: string, descendant: string): Promise<boolean> {
  const result = await runGit(sandbox, ['merge-base', '--is-ancestor', '--', ancestor, descendant], {
    ok: [0, 1],
  });
  return result.exitCode === 0;
}

/** Moves the branch to `sha` without touching a file; the index follows. */
export async function moveHead(sandbox: Sandbox, sha: string): Promise<void> {
  if (!/^[0-9a-f]{40,64}$/.test(sha)) throw new SandboxError('git_failed', `${sha} is not a commit`);
  await runGit(sandbox, ['update-ref', 'HEAD', sha]);
  await indexFromHead(sandbox);
}
