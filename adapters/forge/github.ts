import type { Logger } from '#observability/log.ts';
import { type Forge, ForgeError, type PullRequest, type Repository, type RepositoryRef } from './forge.ts';
import { createGitHubApp, createTokenClient, type GitHubClient, orUndefined } from './github-app.ts';
import { createGitHubDeployments } from './github-deployments.ts';
import { githubFailure } from './github-failure.ts';
import { cut, oneLine, safeMarkdown } from './github-markdown.ts';
import type { GitHubAppSettings } from './github-settings.ts';

interface ApiPullRequest {
  number: number;
  html_url: string;
  state: string;
  title: string;
  merged_at: string | null;
  merge_commit_sha: string | null;
  /** A fork that is gone has no repository. */
  head: { ref: string; sha: string; repo: { id: number } | null };
  base: { ref: string; repo: { id: number } };
}

/** GitHub's limits, in characters. */
const MAX_TITLE = 256;
const MAX_BODY = 65_536;

/** Repositories and pull requests on GitHub, as a GitHub App. */
export function createGitHubForge(settings: GitHubAppSettings, log: Logger): Forge {
  const app = createGitHubApp(settings, log);
  const host = new URL(settings.GITHUB_URL).host;

  async function call<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw toForgeError(error, doing);
    }
  }

  async function installed(ref: RepositoryRef): Promise<GitHubClient> {
    const client = await app.forRepository(ref);
    if (client) return client;
    throw new ForgeError(
      'not_installed',
      `The GitHub App is not installed on ${ref.owner}/${ref.name}: install it there, or give its installation access to this repository.`,
    );
  }

  /** The account of GITHUB_ORG as somebody who may create repositories in it. */
  async function owner(): Promise<{
    login: string;
    client: GitHubClient;
    create: (repository: { name: string; description: string; private: boolean }) => Promise<unknown>;
  }> {
    const org = settings.GITHUB_ORG;
    if (org === undefined)
      throw new ForgeError(
        'invalid',
        'Set GITHUB_ORG to the organization in which new projects get their repositories.',
      );
    const client = await app.forOrganization(org);
    if (client)
      return { login: org, client, create: (options) => client.rest.repos.createInOrg({ org, ...options }) };
    if (!(await app.forPerson(org)))
      throw new ForgeError(
        'not_installed',
        `The GitHub App is not installed on ${org}: install it there, for all repositories.`,
      );
    if (settings.GITHUB_TOKEN === undefined)
      throw new ForgeError(
        'forbidden',
        `${org} is a personal account, in which a GitHub App may not create repositories: set GITHUB_ORG to an organization, or GITHUB_TOKEN to a personal access token of ${org}.`,
      );
    const person = createTokenClient(settings.GITHUB_API_URL, settings.GITHUB_TOKEN, log);
    const { data: self } = await person.rest.users.getAuthenticated();
    if (self.login.toLowerCase() !== org.toLowerCase())
      throw new ForgeError(
        'invalid',
        `GITHUB_TOKEN is ${self.login}'s, but GITHUB_ORG is ${org}: use a token of the same account.`,
      );
    return {
      login: org,
      client: person,
      create: (options) => person.rest.repos.createForAuthenticatedUser(options),
    };
  }

  async function openPull(
    client: GitHubClient,
    { owner: repositoryOwner, name: repo }: RepositoryRef,
    head: string,
  ): Promise<ApiPullRequest | undefined> {
    const query = {
      owner: repositoryOwner,
      repo,
      state: 'open' as const,
      head: `${repositoryOwner}:${head}`,
    };
    const { data } = await client.rest.pulls.list(query);
    // An unknown form of `head` would be ignored by GitHub, and then every pull request answers.
    return data.find((pull) => pull.head.ref === head && !isFromFork(pull));
  }

  return {
    name: 'github',

    deployments: createGitHubDeployments({ call, installed }),

    parseRepository: (text) => parseRepository(text, host),

    repository: (ref) =>
      call(`reading ${ref.owner}/${ref.name}`, async () => {
        const client = await app.forRepository(ref);
        if (!client) return undefined;
        const found = await orUndefined(client.rest.repos.get({ owner: ref.owner, repo: ref.name }));
        return found && toRepository(found.data);
      }),

    createRepository: (name, options) =>
      call(`creating the repository ${name}`, async () => {
        const { login, client, create } = await owner();
        const existing = () => orUndefined(client.rest.repos.get({ owner: login, repo: name }));
        let found = await existing();
        if (!found) {
          try {
            await create({ name, ...options, description: oneLine(options.description).slice(0, 350) });
          } catch (error) {
            // Made in between, perhaps by a call of ours that never heard its answer.
            if (githubFailure(error).kind !== 'invalid' || !(await existing())) throw error;
          }
          found = await existing();
        }
        if (!found)
          throw new ForgeError('unavailable', `GitHub created ${login}/${name} but does not show it yet.`);
        const branches = await client.rest.repos.listBranches({ owner: login, repo: name, per_page: 1 });
        if (branches.data.length > 0)
          throw new ForgeError(
            'name_taken',
            `${login}/${name} exists already and has content: choose another name.`,
          );
        return toRepository(found.data);
      }),

    credentials: (ref) =>
      call(`signing in to ${ref.owner}/${ref.name}`, async () => {
        const client = await installed(ref);
        try {
          const auth = await client.auth({
            type: 'installation',
            repositoryNames: [ref.name],
            permissions: { contents: 'write', metadata: 'read' },
          });
          return { username: 'x-access-token', password: tokenOf(auth) };
        } catch (error) {
          if (githubFailure(error).kind !== 'invalid') throw error;
          throw new ForgeError(
            'not_installed',
            `The GitHub App may not write to ${ref.owner}/${ref.name}: give its installation access to this repository and the permission "Contents: write".`,
            { cause: error },
          );
        }
      }),

    openPullRequest: (ref, request) =>
      call(`opening a pull request in ${ref.owner}/${ref.name}`, async () => {
        const client = await installed(ref);
        const repository = { owner: ref.owner, repo: ref.name };
        const { head, base } = request;
        const title = cut(oneLine(request.title), MAX_TITLE);
        const body = cut(safeMarkdown(request.body), MAX_BODY);
        const update = async ({ number }: { number: number }) =>
          toPullRequest(
            (await client.rest.pulls.update({ ...repository, pull_number: number, title, body, base })).data,
          );
        const open = await openPull(client, ref, head);
        if (open) return update(open);
        try {
          return toPullRequest(
            (await client.rest.pulls.create({ ...repository, head, base, title, body })).data,
          );
        } catch (error) {
          const meanwhile =
            githubFailure(error).kind === 'invalid' ? await openPull(client, ref, head) : undefined;
          if (!meanwhile) throw error;
          return update(meanwhile);
        }
      }),

    pullRequest: (ref, number) =>
      call(`reading pull request ${number} of ${ref.owner}/${ref.name}`, async () => {
        const client = await installed(ref);
        const found = await orUndefined(
          client.rest.pulls.get({ owner: ref.owner, repo: ref.name, pull_number: number }),
        );
        return found && toPullRequest(found.data);
      }),
  };
}

/** https://docs.github.com/en/enterprise-cloud@latest/admin/identity-and-access-management: `_` in managed accounts. */
const OWNER = /^[a-z\d](?:[a-z\d_-]{0,38})$/i;
const NAME = /^(?!\.{1,2}$)[\w.-]{1,100}$/;

function parseRepository(text: string, host: string): RepositoryRef | undefined {
  const trimmed = text.trim();
  const path =
    stripPrefix(trimmed, [
      `https://${host}/`,
      `http://${host}/`,
      `ssh://git@${host}/`,
      `git@${host}:`,
      `${host}/`,
    ]) ?? trimmed;
  const wasUrl = path !== trimmed;
  const [owner = '', last = '', ...rest] = path
    .replace(/[?#].*$/s, '')
    .replace(/\/+$/, '')
    .split('/');
  // `…/owner/name/tree/main` is still that repository; `a/b/c` without a host is not.
  if (rest.length > 0 && !wasUrl) return undefined;
  const name = last.replace(/\.git$/i, '');
  return OWNER.test(owner) && NAME.test(name) ? { owner, name } : undefined;
}

function stripPrefix(text: string, prefixes: readonly string[]): string | undefined {
  const prefix = prefixes.find((each) => text.toLowerCase().startsWith(each.toLowerCase()));
  return prefix === undefined ? undefined : text.slice(prefix.length);
}

const toRepository = (data: {
  owner: { login: string };
  name: string;
  clone_url: string;
  html_url: string;
  default_branch: string;
  private: boolean;
}): Repository => ({
  owner: data.owner.login,
  name: data.name,
  cloneUrl: data.clone_url,
  htmlUrl: data.html_url,
  defaultBranch: data.default_branch,
  private: data.private,
});

const isFromFork = ({ head, base }: ApiPullRequest): boolean => head.repo?.id !== base.repo.id;

const toPullRequest = (data: ApiPullRequest): PullRequest => ({
  number: data.number,
  url: data.html_url,
  headBranch: data.head.ref,
  fromFork: isFromFork(data),
  baseBranch: data.base.ref,
  headSha: data.head.sha,
  // Before the merge it is that of a merge GitHub tries out.
  ...(data.merged_at !== null && data.merge_commit_sha !== null ? { mergeSha: data.merge_commit_sha } : {}),
  state: data.merged_at ? 'merged' : data.state === 'open' ? 'open' : 'closed',
  title: data.title,
});

function tokenOf(auth: unknown): string {
  if (typeof auth === 'object' && auth !== null && 'token' in auth && typeof auth.token === 'string')
    return auth.token;
  throw new ForgeError('unavailable', 'GitHub gave no token for its App’s installation.');
}

function toForgeError(error: unknown, doing: string): ForgeError {
  if (error instanceof ForgeError) return error;
  const { kind, said, retryAfterMs, wanted } = githubFailure(error);
  const options = { cause: error };
  switch (kind) {
    case 'credentials':
      return new ForgeError(
        'forbidden',
        `GitHub does not accept the App's sign-in while ${doing} (${said}): check GITHUB_APP_ID, GITHUB_PRIVATE_KEY and this machine's clock.`,
        options,
      );
    case 'forbidden':
      return new ForgeError(
        'forbidden',
        `GitHub refuses ${doing} (${said}): give the App ${wanted ? `the permission ${wanted}` : 'the permissions it asks for'} and accept it on the installation.`,
        options,
      );
    case 'rate_limited':
      return new ForgeError(
        'unavailable',
        `GitHub's rate limit is used up while ${doing}: try again in ${Math.ceil((retryAfterMs ?? 0) / 1000)} s.`,
        options,
      );
    case 'missing':
      return new ForgeError(
        'not_installed',
        `GitHub does not show what is needed for ${doing}: check the name, and that the App is installed there.`,
        options,
      );
    case 'conflict':
    case 'invalid':
      return new ForgeError('invalid', `GitHub does not accept ${doing}: ${said}`, options);
    case 'unavailable':
      return new ForgeError(
        'unavailable',
        `GitHub cannot be reached while ${doing} (${said}): try again later.`,
        options,
      );
  }
}
