import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const CONFIG = [
  'user.name=Somebody',
  'user.email=somebody@localhost',
  'commit.gpgSign=false',
  'core.hooksPath=/dev/null',
  'core.quotePath=false',
].flatMap((setting) => ['-c', setting]);

async function git(cwd: string, ...argv: string[]): Promise<string> {
  const { stdout } = await run('git', [...CONFIG, ...argv], { cwd, maxBuffer: 64 * 1024 * 1024 });
  return stdout.replace(/\n$/, '');
}

/** Full names and commits of everything under refs/heads and refs/tags. */
export async function readRefs(directory: string): Promise<Map<string, string>> {
  const listed = await git(
    directory,
    'for-each-ref',
    '--format=%(refname) %(objectname)',
    'refs/heads',
    'refs/tags',
  );
  return new Map(
    listed
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  );
}

export interface ChangedFile {
  sha: string;
  filename: string;
  status: 'added' | 'modified' | 'removed' | 'renamed';
  additions: number;
  deletions: number;
  changes: number;
  patch: string;
}

/** `directory` or the files themselves, by path. */
export type Content = string | Readonly<Record<string, string>>;

async function writeAll(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), text);
  }
}

/** The bare repositories behind the peer, in ROOT/owner/name.git. */
export function createRepositories(root: string) {
  const path = (repository: string) => join(root, `${repository}.git`);

  async function commits(repository: string, from: string, to: string): Promise<string[]> {
    const listed = await git(path(repository), 'rev-list', '--reverse', `${from}..${to}`);
    return listed === '' ? [] : listed.split('\n');
  }

  async function files(repository: string, base: string, head: string): Promise<ChangedFile[]> {
    const range = `${base}...${head}`;
    const names = await git(path(repository), 'diff', '--name-status', '--find-renames', '-z', range);
    const parts = names.split('\0').filter((part) => part !== '');
    const found: ChangedFile[] = [];
    for (let at = 0; at < parts.length; ) {
      const letter = parts[at]?.[0] ?? 'M';
      const renamed = letter === 'R' || letter === 'C';
      const filename = parts[at + (renamed ? 2 : 1)] ?? '';
      at += renamed ? 3 : 2;
      const diff = await git(path(repository), 'diff', '--no-color', range, '--', filename);
      const start = diff.indexOf('@@');
      const patch = start < 0 ? '' : diff.slice(start);
      const count = (sign: string) => patch.split('\n').filter((line) => line.startsWith(sign)).length;
      const [additions, deletions] = [count('+'), count('-')];
      const status = ({ A: 'added', D: 'removed', R: 'renamed' } as const)[letter] ?? 'modified';
      found.push({
        sha: head,
        filename,
        status,
        additions,
        deletions,
        changes: additions + deletions,
        patch,
      });
    }
    return found;
  }

  return {
    root,
    path,
    async create(repository: string): Promise<void> {
      await mkdir(path(repository), { recursive: true });
      await git(path(repository), 'init', '--quiet', '--bare', '--initial-branch=main');
    },
    /** A first commit on `main`, its content byte for byte; executable files stay so. */
    async fill(repository: string, content: Content): Promise<string> {
      const work = await mkdtemp(join(tmpdir(), 'comio-github-'));
      try {
        if (typeof content === 'string') {
          await cp(content, work, {
            recursive: true,
            filter: (from) => !/\/(\.git|node_modules)$/.test(from),
          });
        } else await writeAll(work, content);
        await git(work, 'init', '--quiet', '--initial-branch=main');
        await git(work, 'add', '--all', '--force');
        await git(work, 'commit', '--quiet', '--message=Initial commit');
        await git(work, 'push', '--quiet', path(repository), 'main');
        return await git(work, 'rev-parse', 'HEAD');
      } finally {
        await rm(work, { recursive: true, force: true });
      }
    },
    /** A commit on `branch`, which begins at `main` where it does not exist. */
    async commit(
      repository: string,
      branch: string,
      files: Readonly<Record<string, string>>,
    ): Promise<string> {
      const work = await mkdtemp(join(tmpdir(), 'comio-github-'));
      try {
        await git(work, 'clone', '--quiet', path(repository), '.');
        const known = await readRefs(path(repository));
        const start = known.has(`refs/heads/${branch}`) ? branch : 'main';
        await git(work, 'checkout', '--quiet', '-B', branch, `origin/${start}`);
        await writeAll(work, files);
        await git(work, 'add', '--all', '--force');
        await git(work, 'commit', '--quiet', '--message=A change');
        await git(work, 'push', '--quiet', 'origin', `HEAD:refs/heads/${branch}`);
        return await git(work, 'rev-parse', 'HEAD');
      } finally {
        await rm(work, { recursive: true, force: true });
      }
    },
    async branches(repository: string): Promise<{ name: string; sha: string }[]> {
      const refs = await readRefs(path(repository));
      return [...refs]
        .filter(([ref]) => ref.startsWith('refs/heads/'))
        .map(([ref, sha]) => ({ name: ref.slice('refs/heads/'.length), sha }));
    },
    async tip(repository: string, branch: string): Promise<string | undefined> {
      return (await readRefs(path(repository))).get(`refs/heads/${branch}`);
    },
    commits,
    files,
    read: (repository: string, revision: string, file: string) =>
      git(path(repository), 'show', `${revision}:${file}`),
    message: (repository: string, sha: string) => git(path(repository), 'show', '-s', '--format=%B', sha),
    /** The lines of the diff up to this line of the new file, as GitHub shows them over a review comment. */
    async hunk(repository: string, base: string, head: string, file: string, line: number) {
      const changed = (await files(repository, base, head)).find(({ filename }) => filename === file);
      return changed && hunkUpTo(changed.patch, line);
    },
    /** A merge commit on `base`. */
    async merge(repository: string, base: string, head: string, message: string): Promise<string> {
      const at = path(repository);
      const before = await git(at, 'rev-parse', `refs/heads/${base}`);
      const tree = (await git(at, 'merge-tree', '--write-tree', before, head)).split('\n')[0] ?? '';
      const sha = await git(at, 'commit-tree', tree, '-p', before, '-p', head, '-m', message);
      await git(at, 'update-ref', `refs/heads/${base}`, sha, before);
      return sha;
    },
  };
}

export type Repositories = ReturnType<typeof createRepositories>;

function hunkUpTo(patch: string, line: number): string | undefined {
  let at = 0;
  let kept: string[] = [];
  for (const each of patch.split('\n')) {
    const header = /^@@ -\d+(?:,\d+)? \+(\d+)/.exec(each);
    if (header) {
      at = Number(header[1]) - 1;
      kept = [each];
      continue;
    }
    kept.push(each);
    if (!each.startsWith('-') && !each.startsWith('\\')) at += 1;
    if (at === line && !each.startsWith('-')) return kept.join('\n');
  }
  return undefined;
}
