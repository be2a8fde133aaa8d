import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import {
  type DeploymentStatus,
  type Forge,
  type ForgeDeployments,
  ForgeError,
  type PullRequest,
  type Repository,
  type RepositoryRef,
} from './forge.ts';

const run = promisify(execFile);

export interface MemoryDeployment {
  id: string;
  key: string;
  sha: string;
  environment: string;
  /** Oldest first. */
  statuses: { status: DeploymentStatus; url: string | undefined }[];
}

export interface MemoryForge extends Forge {
  readonly deployments: ForgeDeployments;
  /** Records of deployments, oldest first. */
  recorded(ref: RepositoryRef): readonly MemoryDeployment[];
  /** A repository somebody else made; without files it is empty. The commit is on `main`. */
  addRepository(ref: RepositoryRef, files?: Readonly<Record<string, string>>): Promise<Repository>;
  /** The branch's commit; undefined when there is no such branch. */
  branch(ref: RepositoryRef, name: string): Promise<string | undefined>;
  pullRequests(ref: RepositoryRef): Promise<PullRequest[]>;
  /** As a person closes it on the forge. */
  closePullRequest(ref: RepositoryRef, number: number): void;
}

interface Hosted {
  ref: RepositoryRef;
  path: string;
  private: boolean;
  pulls: Omit<PullRequest, 'headSha'>[];
  deployments: MemoryDeployment[];
}

const OWN = 'comio';
/** Whatever the machine's own configuration says. */
const CONFIG = [
  'user.name=Somebody',
  'user.email=somebody@localhost',
  'commit.gpgSign=false',
  'core.hooksPath=/dev/null',
].flatMap((setting) => ['-c', setting]);

/** Real bare repositories in `directory`, cloned by their path; pull requests live as long as the process. */
export function createMemoryForge(directory: string): MemoryForge {
  const hosted = new Map<string, Hosted>();
  const keyOf = ({ owner, name }: RepositoryRef) => `${owner}/${name}`.toLowerCase();
  const find = (ref: RepositoryRef) => hosted.get(keyOf(ref));

  async function git(cwd: string, ...argv: string[]): Promise<string> {
    const { stdout } = await run('git', [...CONFIG, ...argv], { cwd });
    return stdout.trim();
  }

  function known(ref: RepositoryRef): Hosted {
    const found = find(ref);
    if (found) return found;
    throw new ForgeError(
      'not_installed',
      `There is no repository ${ref.owner}/${ref.name}: create it first.`,
    );
  }

  async function tip({ path }: Hosted, branch: string): Promise<string | undefined> {
    const ref = `refs/heads/${branch}`;
    // The pattern also finds what is below it.
    const refs = await git(path, 'for-each-ref', '--format=%(refname) %(objectname)', ref);
    const line = refs.split('\n').find((each) => each.startsWith(`${ref} `));
    return line?.slice(ref.length + 1);
  }

  const pullRequest = async (at: Hosted, pull: Omit<PullRequest, 'headSha'>): Promise<PullRequest> => ({
    ...pull,
    headSha: (await tip(at, pull.headBranch)) ?? '',
  });

  async function host(ref: RepositoryRef, isPrivate: boolean): Promise<Hosted> {
    const path = join(directory, ref.owner, `${ref.name}.git`);
    await mkdir(path, { recursive: true });
    await git(path, 'init', '--quiet', '--bare', '--initial-branch=main');
    const made: Hosted = { ref, path, private: isPrivate, pulls: [], deployments: [] };
    hosted.set(keyOf(ref), made);
    return made;
  }

  const toRepository = ({ ref, path, private: isPrivate }: Hosted): Repository => ({
    ...ref,
    cloneUrl: path,
    htmlUrl: `http://forge.invalid/${ref.owner}/${ref.name}`,
    defaultBranch: 'main',
    private: isPrivate,
  });

  return {
    name: 'memory',

    deployments: {
      async open(ref, { key, sha, environment }) {
        const { deployments } = known(ref);
        const found = deployments.find((each) => each.key === key);
        if (found) return found.id;
        const id = String(deployments.length + 1);
        deployments.push({ id, key, sha, environment, statuses: [] });
        return id;
      },
      async tell(ref, id, { status, url }) {
        const found = known(ref).deployments.find((each) => each.id === id);
        if (!found) throw new ForgeError('invalid', `There is no deployment ${id}: open it first.`);
        if (found.statuses.at(-1)?.status !== status) found.statuses.push({ status, url });
      },
    },

    recorded: (ref) => known(ref).deployments,

    parseRepository(text) {
      const [, owner, name] =
        /^(?:http:\/\/forge\.invalid\/)?([a-z\d][\w-]*)\/((?!\.{1,2}$)[\w.-]+?)(?:\.git)?$/i.exec(
          text.trim(),
        ) ?? [];
      return owner && name ? { owner, name } : undefined;
    },

    async repository(ref) {
      const found = find(ref);
      return found && toRepository(found);
    },

    async createRepository(name, options) {
      const ref = { owner: OWN, name };
      const found = find(ref);
      if (!found) return toRepository(await host(ref, options.private));
      if (await git(found.path, 'for-each-ref', '--count=1'))
        throw new ForgeError(
          'name_taken',
          `${OWN}/${name} exists already and has content: choose another name.`,
        );
      return toRepository(found);
    },

    async credentials(ref) {
      known(ref);
      return { username: 'nobody', password: 'unused' };
    },

    async openPullRequest(ref, { head, base, title }) {
      const at = known(ref);
      const open = at.pulls.find((pull) => pull.headBranch === head && pull.state === 'open');
      if (open) {
        Object.assign(open, { title, baseBranch: base });
        return pullRequest(at, open);
      }
      const [headSha, baseSha] = [await tip(at, head), await tip(at, base)];
      if (!headSha || !baseSha || headSha === baseSha)
        throw new ForgeError(
          'invalid',
          `There is nothing to merge from ${head} into ${base}: push a commit first.`,
        );
      const number = at.pulls.length + 1;
      const url = `${toRepository(at).htmlUrl}/pull/${number}`;
      const pull = {
        number,
        url,
        headBranch: head,
        fromFork: false,
        baseBranch: base,
        state: 'open' as const,
        title,
      };
      at.pulls.push(pull);
      return pullRequest(at, pull);
    },

    async pullRequest(ref, number) {
      const at = known(ref);
      const pull = at.pulls.find((each) => each.number === number);
      return pull && pullRequest(at, pull);
    },

    async addRepository(ref, files = {}) {
      const at = await host(ref, false);
      if (Object.keys(files).length === 0) return toRepository(at);
      const work = await mkdtemp(join(tmpdir(), 'comio-forge-'));
      try {
        for (const [path, content] of Object.entries(files)) {
          await mkdir(dirname(join(work, path)), { recursive: true });
          await writeFile(join(work, path), content);
        }
        await git(work, 'init', '--quiet', '--initial-branch=main');
        await git(work, 'add', '--all', '--force');
        await git(work, 'commit', '--quiet', '--message=Initial commit');
        await git(work, 'push', '--quiet', at.path, 'main');
      } finally {
        await rm(work, { recursive: true, force: true });
      }
      return toRepository(at);
    },

    branch: (ref, name) => tip(known(ref), name),

    async pullRequests(ref) {
      const at = known(ref);
      return Promise.all(at.pulls.map((pull) => pullRequest(at, pull)));
    },

    closePullRequest(ref, number) {
      const pull = known(ref).pulls.find((each) => each.number === number);
      if (!pull) throw new Error(`no pull request ${number}`);
      pull.state = 'closed';
    },
  };
}
