import { createAppAuth } from '@octokit/auth-app';
import { Octokit } from '@octokit/core';
import { restEndpointMethods } from '@octokit/plugin-rest-endpoint-methods';
import { RequestError } from '@octokit/request-error';
import type { Logger } from '#observability/log.ts';
import { ForgeError, type RepositoryRef } from './forge.ts';
import type { GitHubAppSettings } from './github-settings.ts';

/*
 * Signing in as a GitHub App: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app.
 * The App proves itself with a signed JWT, finds its installation on an account, and trades that for a token that
 * lives for an hour. The forge and the chat surface both work through this.
 */

const Client = Octokit.plugin(restEndpointMethods);
export type GitHubClient = InstanceType<typeof Client>;

/** Longer than this no answer is waited for. */
const REQUEST_MS = 30_000;

export interface GitHubApp {
  /** As the App itself: its own page, installations, deliveries. */
  readonly client: GitHubClient;
  /** As the App's installation that covers this repository; undefined when there is none. */
  forRepository(ref: RepositoryRef): Promise<GitHubClient | undefined>;
  /** As the App's installation on this organization; undefined when there is none. */
  forOrganization(login: string): Promise<GitHubClient | undefined>;
  /** As the App's installation on this personal account; undefined when there is none. */
  forPerson(login: string): Promise<GitHubClient | undefined>;
}

/** Throws {@link ForgeError} `invalid` when the settings do not say who the App is. */
export function createGitHubApp(settings: GitHubAppSettings, log: Logger): GitHubApp {
  const { GITHUB_APP_ID: appId, GITHUB_PRIVATE_KEY: key } = settings;
  if (appId === undefined || key === undefined)
    throw new ForgeError('invalid', 'Set GITHUB_APP_ID and GITHUB_PRIVATE_KEY to use GitHub.');
  const options = clientOptions(settings.GITHUB_API_URL, log);
  const sign = { authStrategy: createAppAuth, auth: { appId, privateKey: key } };
  const client = new Client({ ...options, ...sign });
  /** By lower-case account. */
  const known = new Map<string, GitHubClient>();

  async function installation(
    account: string,
    look: () => Promise<{ data: { id: number } }>,
  ): Promise<GitHubClient | undefined> {
    const name = account.toLowerCase();
    const before = known.get(name);
    if (before && (await answers(before))) return before;
    known.delete(name);
    const found = await orUndefined(look());
    if (!found) return undefined;
    const auth = { ...sign.auth, installationId: found.data.id };
    const installed = new Client({ ...options, authStrategy: createAppAuth, auth });
    known.set(name, installed);
    return installed;
  }

  return {
    client,
    forRepository: ({ owner, name }) =>
      installation(owner, () => client.rest.apps.getRepoInstallation({ owner, repo: name })),
    forOrganization: (org) => installation(org, () => client.rest.apps.getOrgInstallation({ org })),
    forPerson: (username) => installation(username, () => client.rest.apps.getUserInstallation({ username })),
  };
}

/** With a person's token instead of the App's. */
export const createTokenClient = (apiUrl: string, token: string, log: Logger): GitHubClient =>
  new Client({ ...clientOptions(apiUrl, log), auth: token });

/** What the call answers; undefined when GitHub says 404, which also means "you may not see it". */
export async function orUndefined<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof RequestError && error.status === 404) return undefined;
    throw error;
  }
}

const clientOptions = (baseUrl: string, log: Logger) => ({
  baseUrl,
  userAgent: 'comio',
  // Nothing is repeated here: a call that may have had its effect is for the caller to look after.
  request: {
    fetch: (url: string, init: RequestInit) =>
      fetch(url, { ...init, signal: AbortSignal.timeout(REQUEST_MS) }),
  },
  log: {
    debug() {},
    info() {},
    warn: (message: string) => log.warn({}, message),
    error: (message: string) => log.debug({}, message),
  },
});

/** False when the App was uninstalled since: then its token can no longer be renewed. The token itself is cached. */
async function answers(installed: GitHubClient): Promise<boolean> {
  try {
    await installed.auth({ type: 'installation' });
    return true;
  } catch (error) {
    if (error instanceof RequestError && [401, 403, 404].includes(error.status)) return false;
    throw error;
  }
}
