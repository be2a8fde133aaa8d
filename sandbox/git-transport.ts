import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '#observability/log.ts';
import { gitText, runGit } from './git-command.ts';
import { type GitCredentials, type HostGitOptions, type HostGitResult, hostGit } from './host-git.ts';
import { withProcessLock } from './process-lock.ts';
import { type Sandbox, SandboxError } from './sandbox.ts';
import { isRepository, setAside } from './workspace-git.ts';

export interface Remote {
  /** HTTP(S), without credentials. */
  url: string;
  credentials?: GitCredentials | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Brings repositories into sandboxes and commits out of them. It runs on the core's side, where the credentials are;
 * what crosses into and out of a sandbox is a pack of git objects and nothing else. All methods throw `git_failed`
 * with git's words, or the signal's reason, and give up after ten minutes.
 */
export interface GitTransport {
  /**
   * Makes the workspace a repository on `branch`, which starts at `commit` (one that a branch of the remote contains)
   * or at the remote's `ref` (a branch; default: the remote's default branch), with `origin` set and the full history.
   * An empty remote gives an empty repository. All or nothing: a workspace that is a repository already is left as it
   * is.
   */
  cloneInto(
    sandbox: Sandbox,
    request: Remote & { ref?: string | undefined; commit?: string | undefined; branch: string },
  ): Promise<{ head: string | undefined }>;
  /**
   * Makes the remote's `branch` point at the sandbox's commit `sha`. A commit the branch already contains is a
   * success without effect; a branch that has commits `sha` does not build upon is `git_failed`. `inspect` is told,
   * before anything is pushed, which files the commits that the remote does not have yet touch; what it throws is
   * thrown.
   */
  push(
    sandbox: Sandbox,
    request: Remote & {
      branch: string;
      sha: string;
      inspect?: ((paths: readonly string[]) => void) | undefined;
    },
  ): Promise<void>;
  /** Whether a branch of the remote has both, and `commit` is `ancestor` or was made on top of it. */
  contains(request: Remote & { ancestor: string; commit: string }): Promise<boolean>;
  /**
   * The commit that `ref` names at the remote now: a branch, a tag, or a commit (7 digits or more) that one of its
   * branches or tags contains; default: the head of the default branch. It is kept here, for {@link archive}.
   */
  resolveCommit(
    request: Remote & { ref?: string | undefined },
  ): Promise<{ sha: string; subject: string; ref: string }>;
  /** The commit's files as an uncompressed tar, all of them; undefined when the commit is not here. */
  archive(request: Omit<Remote, 'credentials'> & { sha: string }): Promise<Buffer | undefined>;
  /**
   * The commits that `to` has and `from` has not, newest first, at most `limit`, merges left out; of each the first
   * `maxDiffBytes` of its diff. What a branch had that is rewritten since is still known if it was deployed.
   */
  changes(
    request: Remote & { from: string; to: string; limit: number; maxDiffBytes: number },
  ): Promise<Change[]>;
  /** The commit the remote's branch points at; undefined when there is no such branch. */
  readRemoteHead(request: Remote & { branch: string }): Promise<string | undefined>;
}

export interface Change {
  sha: string;
  author: string;
  /** ISO 8601, when it was committed. */
  at: string;
  /** Subject and body. */
  message: string;
  /** Names and sizes of the changed files, then the patch. */
  diff: string;
}

const LIMIT_MS = 600_000;
/** Past this a sandbox cannot fill our disk with one push. */
const MAX_PACK_BYTES = 1_073_741_824;
/** An archive is held in memory. */
const MAX_ARCHIVE_BYTES = 268_435_456;
/** The repository under construction: renamed to .git when it is whole. */
const UNFINISHED = '.git-cloning';

/** `dataDir` holds a bare mirror of each repository, so that a second run fetches only what is new. */
export function createGitTransport({ dataDir, log }: { dataDir: string; log: Logger }): GitTransport {
  /** Runs `work` on the repository's mirror, one at a time. */
  const withMirror = async <T>(
    remote: Remote,
    work: (git: Git, directory: string) => Promise<T>,
  ): Promise<T> => {
    const url = checkUrl(remote.url);
    const signal = AbortSignal.any([
      AbortSignal.timeout(LIMIT_MS),
      ...(remote.signal ? [remote.signal] : []),
    ]);
    const directory = join(dataDir, `${createHash('sha256').update(url).digest('hex').slice(0, 24)}.git`);
    await mkdir(directory, { recursive: true });
    const git: Git = (argv, options = {}) => hostGit(argv, { directory, signal, ...options });
    return await withProcessLock(directory, { onWait: () => undefined, signal }, async () => {
      await git(['init', '--quiet', '--bare', '--template=']);
      return await work(git, directory);
    });
  };

  return {
    cloneInto: async (sandbox, request) =>
      await withMirror(request, async (git) => {
        checkBranch(request.branch);
        const { url, credentials, signal } = request;
        const remote = await readRemote(git, request, request.ref);
        if (await isRepository(sandbox)) return { head: remote.sha };
        await sandbox.pipe(['rm', '-rf', UNFINISHED]);
        const options = { env: { GIT_DIR: UNFINISHED }, signal };
        await runGit(
          sandbox,
          ['init', '--quiet', '--template=', `--initial-branch=${request.branch}`],
          options,
        );
        // init with GIT_DIR and GIT_WORK_TREE given writes the latter down; beside .git it is where it is.
        await runGit(sandbox, ['config', '--unset', 'core.worktree'], { ...options, ok: [0, 5] });
        await runGit(sandbox, ['remote', 'add', 'origin', url], options);
        if (remote.ref !== undefined && remote.sha !== undefined) {
          await git(
            ['fetch', '--quiet', '--no-tags', '--', url, `+refs/heads/${remote.ref}:${tracking(remote.ref)}`],
            {
              credentials,
            },
          );
          if (request.commit !== undefined) await fetchAll(git, request);
          const sha = await verified(git, request.commit ?? tracking(remote.ref));
          const { stdout: packed } = await git(['pack-objects', '--quiet', '--revs', '--stdout'], {
            stdin: `${sha}\n`,
          });
          log.info({ url, ref: remote.ref, sha, bytes: packed.length }, 'cloning into a sandbox');
          await runGit(sandbox, ['index-pack', '--stdin'], { ...options, stdin: packed });
          await runGit(sandbox, ['update-ref', tracking(remote.ref), sha], options);
          await runGit(sandbox, ['update-ref', `refs/heads/${request.branch}`, sha], options);
          // Beside a damaged repository there is somebody's work.
          const damaged = await setAside(sandbox, `${UNFINISHED}/damaged`);
          await runGit(sandbox, ['read-tree', '--reset', ...(damaged ? [] : ['-u']), sha], options);
        }
        const moved = await sandbox.pipe(['mv', UNFINISHED, '.git'], { signal });
        if (moved.exitCode !== 0) throw new SandboxError('git_failed', moved.stderr);
        return { head: request.commit ?? remote.sha };
      }),

    push: async (sandbox, request) =>
      await withMirror(request, async (git) => {
        const { url, credentials, branch, sha } = request;
        checkBranch(branch);
        if (!/^[0-9a-f]{40}$/.test(sha)) throw new SandboxError('git_failed', `${sha} is not a commit`);
        const before = (await readRemote(git, request, branch, { mayLack: true })).sha;
        if (before === sha) return;
        if (before !== undefined) {
          await git(
            ['fetch', '--quiet', '--no-tags', '--', url, `+refs/heads/${branch}:${tracking(branch)}`],
            {
              credentials,
            },
          );
          if (await isAncestor(git, sha, before)) return;
        }
        await fetchFromSandbox(git, sandbox, sha, request.signal);
        if (before !== undefined && !(await isAncestor(git, before, sha))) {
          throw new SandboxError(
            'git_failed',
            `The branch ${branch} at ${url} has commits that ${sha.slice(0, 7)} does not build upon`,
          );
        }
        if (request.inspect) {
          await fetchAll(git, request);
          request.inspect(await touchedBy(git, sha));
        }
        const lease = `--force-with-lease=refs/heads/${branch}:${before ?? ''}`;
        await git(['push', '--quiet', '--no-verify', lease, '--', url, `${sha}:refs/heads/${branch}`], {
          credentials,
        });
        await git(['update-ref', tracking(branch), sha]);
        await runGit(sandbox, ['update-ref', tracking(branch), sha], { signal: request.signal });
        log.info({ url, branch, before, sha }, 'pushed from a sandbox');
      }),

    contains: async (request) =>
      await withMirror(request, async (git) => {
        await fetchAll(git, request);
        return await isAncestor(git, request.ancestor, request.commit);
      }),

    resolveCommit: async (request) =>
      await withMirror(request, async (git) => {
        const { url, credentials } = request;
        const all = ['+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'];
        const wanted = request.ref ?? (await readRemote(git, request, undefined)).ref;
        if (wanted === undefined) throw new SandboxError('git_failed', `There is no commit at ${url} yet`);
        if (!isHash(wanted)) checkBranch(wanted);
        await git(['fetch', '--quiet', '--no-tags', '--prune', '--', url, ...all], { credentials });
        const sha = await namedCommit(git, wanted);
        if (sha === undefined)
          throw new SandboxError('git_failed', `There is no branch, tag or commit ${wanted} at ${url}`);
        await git(['update-ref', kept(sha), sha]);
        const { stdout } = await git(['log', '-1', '--format=%s', sha, '--']);
        return { sha, subject: stdout.toString().trim(), ref: wanted };
      }),

    archive: async (request) =>
      await withMirror(request, async (git, directory) => {
        const { sha } = request;
        if ((await git(['cat-file', '-e', `${sha}^{commit}`], { ok: [0, 1, 128] })).exitCode !== 0)
          return undefined;
        // What a project leaves out of its releases for people is still part of it.
        await mkdir(join(directory, 'info'), { recursive: true });
        await writeFile(join(directory, 'info', 'attributes'), '* -export-ignore -export-subst\n');
        const packed = await git(['archive', '--format=tar', sha], { maxBytes: MAX_ARCHIVE_BYTES });
        return packed.stdout;
      }),

    changes: async (request) =>
      await withMirror(request, async (git) => {
        const { limit, maxDiffBytes } = request;
        await fetchAll(git, request);
        const [from, to] = [await verified(git, request.from), await verified(git, request.to)];
        const format = '--format=%H%x1f%an%x1f%cI%x1f%B%x1e';
        const listed = await git([
          'log',
          '--no-merges',
          `--max-count=${limit}`,
          format,
          to,
          `^${from}`,
          '--',
        ]);
        const changes: Change[] = [];
        for (const record of listed.stdout.toString().split('\x1e')) {
          const [sha = '', author = '', at = '', message = ''] = record.trim().split('\x1f');
          if (sha === '') continue;
          const argv = [
            'show',
            '--format=',
            '--stat',
            '--patch',
            '--no-color',
            '--no-ext-diff',
            '--no-textconv',
            sha,
          ];
          const { stdout } = await git([...argv, '--'], { maxBytes: MAX_ARCHIVE_BYTES });
          changes.push({
            sha,
            author,
            at,
            message: message.trim(),
            diff: stdout.subarray(0, maxDiffBytes).toString(),
          });
        }
        return changes;
      }),

    readRemoteHead: async (request) =>
      await withMirror(request, async (git) => {
        return (await readRemote(git, request, request.branch, { mayLack: true })).sha;
      }),
  };
}

type Git = (argv: readonly string[], options?: Partial<HostGitOptions>) => Promise<HostGitResult>;

/** A commit that was asked for is not thrown away when its branch moves on. */
const kept = (sha: string): string => `refs/comio/kept/${sha}`;

const isHash = (text: string): boolean => /^[0-9a-f]{7,40}$/i.test(text);

/**
 * Of a branch before a tag before a commit. A commit must be in a branch or tag: forges also hand out those of forks,
 * which are anybody's.
 */
async function namedCommit(git: Git, wanted: string): Promise<string | undefined> {
  const parse = async (name: string): Promise<string | undefined> => {
    const found = await git(['rev-parse', '--verify', '--quiet', `${name}^{commit}`], { ok: [0, 1, 128] });
    return found.exitCode === 0 ? found.stdout.toString().trim() : undefined;
  };
  const named = (await parse(tracking(wanted))) ?? (await parse(`refs/tags/${wanted}`));
  if (named !== undefined || !isHash(wanted)) return named;
  const sha = await parse(wanted.toLowerCase());
  if (sha === undefined || !sha.startsWith(wanted.toLowerCase())) return undefined;
  const within = ['for-each-ref', '--count=1', `--contains=${sha}`, 'refs/remotes/origin', 'refs/tags'];
  return (await git(within)).stdout.length > 0 ? sha : undefined;
}

const tracking = (branch: string): string => `refs/remotes/origin/${branch}`;

const fetchAll = (git: Git, { url, credentials }: Remote): Promise<HostGitResult> =>
  git(['fetch', '--quiet', '--no-tags', '--', url, `+refs/heads/*:${tracking('*')}`], { credentials });

/** Throws `git_failed` when the mirror has no such commit. */
const verified = async (git: Git, revision: string): Promise<string> => {
  const argv = ['rev-parse', '--quiet', '--verify', '--end-of-options', `${revision}^{commit}`];
  const { exitCode, stdout } = await git(argv, { ok: [0, 1, 128] });
  // git before 2.41 echoes the option as a line of its own.
  const sha = stdout.toString().trim().split('\n').at(-1) ?? '';
  if (exitCode === 0 && sha !== '') return sha;
  throw new SandboxError('git_failed', `No branch there has the commit ${revision.slice(0, 12)}`);
};

/**
 * The files that commits of `sha` touch which no branch of the remote has. Of a merge: what differs from what git makes
 * of merging its parents. A file that equals one parent may still be one that the merge took back to how it was long
 * ago. Of a merge of three and more, which git does not make again: what differs from any parent.
 */
async function touchedBy(git: Git, sha: string): Promise<string[]> {
  const paths = new Set<string>();
  for (const merges of [
    ['--max-parents=2', '--diff-merges=remerge'],
    ['--min-parents=3', '--diff-merges=separate'],
  ]) {
    const { stdout } = await git([
      // A file that was moved on one side only stays where it was: it is then a difference, and looked at.
      ...['-c', 'merge.renames=false'],
      ...['log', '--format=', '--name-only', '--no-renames', ...merges, '-z'],
      ...[sha, '--not', '--remotes', '--'],
    ]);
    for (const path of stdout.toString().split('\0').filter(Boolean)) paths.add(path);
  }
  return [...paths];
}

/**
 * What the remote says of `branch`, or of its default branch. Both undefined: it is empty. Throws when it has other
 * branches but not this one, unless it `mayLack` it.
 */
async function readRemote(
  git: Git,
  remote: Remote,
  branch: string | undefined,
  options: { mayLack?: boolean } = {},
): Promise<{ ref: string | undefined; sha: string | undefined }> {
  if (branch !== undefined) checkBranch(branch);
  const { url, credentials } = remote;
  const listed = await git(['ls-remote', '--symref', '--', url, 'HEAD', 'refs/heads/*'], { credentials });
  const text = listed.stdout.toString();
  const heads = new Map<string, string>();
  for (const [, sha = '', name = ''] of text.matchAll(/^([0-9a-f]{40})\trefs\/heads\/(.+)$/gm))
    heads.set(name, sha);
  const ref = branch ?? /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(text)?.[1];
  const sha = ref === undefined ? undefined : heads.get(ref);
  if (sha === undefined && heads.size > 0 && !options.mayLack) {
    throw new SandboxError('git_failed', `There is no branch ${ref ?? '(default)'} at ${url}`);
  }
  return { ref, sha };
}

/**
 * The commit and what it needs, out of the sandbox and checked: whatever runs in there may have made the pack. Only
 * bytes cross, and git reads them as it reads what a stranger pushes to a server.
 */
async function fetchFromSandbox(
  git: Git,
  sandbox: Sandbox,
  sha: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const known = await git(['for-each-ref', '--format=%(objectname)', 'refs/remotes/origin']);
  const ours = known.stdout.toString().split('\n').filter(Boolean);
  const theirs = await gitText(sandbox, ['cat-file', '--batch-check=%(objectname)'], {
    stdin: ours.map((name) => `${name}\n`).join(''),
    signal,
  });
  const common = theirs.split('\n').filter((line) => ours.includes(line));
  const pack = await runGit(sandbox, ['pack-objects', '--quiet', '--revs', '--thin', '--stdout'], {
    stdin: [sha, ...common.map((name) => `^${name}`), ''].join('\n'),
    signal,
    maxBytes: MAX_PACK_BYTES,
  });
  await git(['index-pack', '--stdin', '--fix-thin', '--strict', `--max-input-size=${MAX_PACK_BYTES}`], {
    stdin: pack.stdout,
  });
  // Complete down to commits that were here before: --not without a walk into them.
  await git(['rev-list', '--objects', '--quiet', sha, '--not', '--remotes']);
}

/** false also when the mirror lacks one of them (128). */
const isAncestor = async (git: Git, ancestor: string, descendant: string): Promise<boolean> =>
  (await git(['merge-base', '--is-ancestor', ancestor, descendant], { ok: [0, 1, 128] })).exitCode === 0;

function checkUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new SandboxError('git_failed', `Not an HTTP(S) address of a repository: ${text}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new SandboxError('git_failed', 'An address with credentials in it is not taken');
  }
  return text;
}

/** The part of git-check-ref-format(1) that matters for names that come from outside. */
function checkBranch(name: string): void {
  const bad = /^[-./]|[./]$|\.\.|\/\/|\/\.|\.lock(\/|$)|@\{|[\s~^:?*[\\]|[^\x20-\x7e\u00a0-\uffff]/;
  if (name === '' || name === '@' || name === 'HEAD' || bad.test(name)) {
    throw new SandboxError('git_failed', `${JSON.stringify(name)} is not a name for a branch`);
  }
}
