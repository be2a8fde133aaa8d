import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Forge, ForgeError } from '#adapters/forge/forge.ts';
import { env, forges } from '#adapters/forge/index.ts';
import { loadConfig } from '#core/config.ts';
import { createLogger } from '#observability/log.ts';
import { forgeContract } from '../../contracts/forge.ts';
import { createGitHubPeer, type GitHubPeer } from '../../peers/github.ts';

const log = createLogger('silent');

const forgeOf = (peer: GitHubPeer, extra: Record<string, string | undefined> = {}): Promise<Forge> =>
  forges.github.create(loadConfig({}, { ...peer.env, ...extra }), log);

forgeContract('GitHub', async () => {
  const peer = await createGitHubPeer();
  return {
    forge: await forgeOf(peer),
    async addRepository(name, files) {
      await peer.createRepository({ owner: peer.org, name, files });
      return { owner: peer.org, name };
    },
    async closePullRequest({ owner, name }, number) {
      await peer.closePullRequest({ owner, repo: name, number });
    },
    countPullRequests: async ({ owner, name }) => (await peer.pullRequests({ owner, repo: name })).length,
    deployments: ({ owner, name }) =>
      peer.deployments({ owner, repo: name }).map(({ sha, environment, statuses }) => ({
        sha,
        environment,
        statuses: statuses.map((each) => ({ status: each.state, url: each.environment_url })),
      })),
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
});

describe('GitHub as a forge, its own ways', () => {
  let peer: GitHubPeer;
  beforeAll(async () => {
    peer = await createGitHubPeer();
    await peer.createRepository({ owner: 'acme', name: 'app', files: { 'a.txt': 'a\n' } });
    await peer.createRepository({ owner: 'elsewhere', name: 'other', files: { 'a.txt': 'a\n' } });
  });
  afterAll(() => peer?.[Symbol.asyncDispose]());
  afterEach(() => peer.heal());

  const failureOf = async (work: Promise<unknown>): Promise<ForgeError> => {
    const error = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error instanceof ForgeError) return error;
    throw new Error(`expected a ForgeError, got ${error}`);
  };
  const APP = { owner: 'acme', name: 'app' };

  it('understands every form of a repository’s address', async () => {
    const forge = await forgeOf(peer, { GITHUB_URL: 'https://github.com/' });
    const wanted = { owner: 'octo-org', name: 'octo.repo' };
    for (const text of [
      'octo-org/octo.repo',
      'github.com/octo-org/octo.repo',
      'https://github.com/octo-org/octo.repo',
      'https://github.com/octo-org/octo.repo.git',
      'https://GitHub.com/octo-org/octo.repo/',
      'https://github.com/octo-org/octo.repo/tree/main/src?x#L3',
      'git@github.com:octo-org/octo.repo.git',
      'ssh://git@github.com/octo-org/octo.repo.git',
    ])
      expect(forge.parseRepository(text), text).toEqual(wanted);
    for (const text of [
      'https://gitlab.com/octo-org/octo.repo',
      'https://github.com.evil.example/a/b',
      'https://github.com/octo-org',
      'git@example.com:a/b.git',
      'octo org/octo.repo',
      '--upload-pack=x/y',
    ])
      expect(forge.parseRepository(text), text).toBeUndefined();
  });

  it('takes the private key with its line breaks written out', async () => {
    const GITHUB_PRIVATE_KEY = peer.privateKey.replaceAll('\n', '\\n');
    expect(await (await forgeOf(peer, { GITHUB_PRIVATE_KEY })).repository(APP)).toBeDefined();
    expect(env.GITHUB_PRIVATE_KEY.schema.safeParse('not a key').success).toBe(false);
  });

  it('is reached under the path of GitHub Enterprise, too', async () => {
    const forge = await forgeOf(peer, { GITHUB_API_URL: `${peer.url}/api/v3/` });
    expect(await forge.repository(APP)).toMatchObject(APP);
  });

  it('asks for the installation and its token once', async () => {
    const forge = await forgeOf(peer);
    const tokens = peer.count('POST /app/installations/:n/access_tokens');
    const lookups = peer.count('GET /repos/:owner/:repo/installation');
    for (let time = 0; time < 3; time += 1) await forge.repository(APP);
    expect(peer.count('POST /app/installations/:n/access_tokens')).toBe(tokens + 1);
    expect(peer.count('GET /repos/:owner/:repo/installation')).toBe(lookups + 1);
  });

  it('gives git a token for that repository alone', async () => {
    const { username, password } = await (await forgeOf(peer)).credentials(APP);
    expect(username).toBe('x-access-token');
    const basic = Buffer.from(`${username}:${password}`).toString('base64');
    const refs = (name: string, token: string) =>
      fetch(`${peer.url}/${name}.git/info/refs?service=git-receive-pack`, {
        headers: { authorization: `Basic ${token}` },
      });
    expect((await refs('acme/app', basic)).status).toBe(200);
    expect((await refs('acme/app', Buffer.from('x-access-token:made-up').toString('base64'))).status).toBe(
      401,
    );
    await peer.createRepository({ owner: 'acme', name: 'neighbour', files: { a: 'a' } });
    expect((await refs('acme/neighbour', basic)).status).toBe(404);
    const issue = await fetch(`${peer.url}/repos/acme/app/issues`, {
      method: 'POST',
      headers: { authorization: `Bearer ${password}` },
      body: '{"title":"x"}',
    });
    expect(issue.status).toBe(403);
  });

  it('does not see a repository it is not installed on', async () => {
    const forge = await forgeOf(peer);
    expect(await forge.repository({ owner: 'elsewhere', name: 'other' })).toBeUndefined();
    const failure = await failureOf(forge.credentials({ owner: 'elsewhere', name: 'other' }));
    expect(failure).toMatchObject({ code: 'not_installed' });
    expect(failure.message).toContain('install it there');
  });

  it('finds what a call that was cut off has made', async () => {
    const forge = await forgeOf(peer);
    const options = { description: 'D', private: false };
    peer.failNext('POST /orgs/:name/repos', { status: 502, when: 'after' });
    expect((await failureOf(forge.createRepository('cut-off', options))).code).toBe('unavailable');
    expect(await forge.createRepository('cut-off', options)).toMatchObject({ name: 'cut-off' });

    await peer.createRepository({ owner: 'acme', name: 'pulls', files: { 'a.txt': 'a\n' } });
    await peer.pushBranch({ owner: 'acme', repo: 'pulls', branch: 'comio/x', files: { 'b.txt': 'b\n' } });
    const request = { head: 'comio/x', base: 'main', title: 'T', body: 'B' };
    const pulls = { owner: 'acme', name: 'pulls' };
    peer.failNext('POST /repos/:owner/:repo/pulls', { status: 502, when: 'after' });
    expect((await failureOf(forge.openPullRequest(pulls, request))).code).toBe('unavailable');
    const found = await forge.openPullRequest(pulls, request);
    expect(await peer.pullRequests({ owner: 'acme', repo: 'pulls' })).toHaveLength(1);
    // Two at once, of which one sees the other's only when it is refused.
    await peer.pushBranch({ owner: 'acme', repo: 'pulls', branch: 'comio/y', files: { 'c.txt': 'c\n' } });
    const both = await Promise.all(
      [1, 2, 3].map(() => forge.openPullRequest(pulls, { ...request, head: 'comio/y' })),
    );
    expect(new Set(both.map(({ number }) => number)).size).toBe(1);
    expect(await peer.pullRequests({ owner: 'acme', repo: 'pulls' })).toHaveLength(2);
    await peer.merge({ owner: 'acme', repo: 'pulls', number: found.number });
    expect((await forge.pullRequest(pulls, found.number))?.state).toBe('merged');
  });

  it('tells a pull request from a fork, whose branch may be called like one of ours', async () => {
    await peer.createRepository({ owner: 'acme', name: 'forked', files: { 'a.txt': 'a\n' } });
    await peer.pushBranch({ owner: 'acme', repo: 'forked', branch: 'topic', files: { 'b.txt': 'b\n' } });
    const asMallory = async (path: string, body: object): Promise<unknown> => {
      const headers = {
        authorization: `token ${peer.tokenOf('mallory')}`,
        'content-type': 'application/json',
      };
      const answer = await fetch(`${peer.url}/repos/acme/forked/${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      expect(answer.ok, await answer.clone().text()).toBe(true);
      return answer.json();
    };
    await asMallory('forks', {});
    const opened = await asMallory('pulls', { head: 'mallory:topic', base: 'main', title: 'T', body: '' });
    const forge = await forgeOf(peer);
    const ref = { owner: 'acme', name: 'forked' };
    const { number } = z.object({ number: z.number() }).parse(opened);
    expect(await forge.pullRequest(ref, number)).toMatchObject({ headBranch: 'topic', fromFork: true });
    await peer.pushBranch({ owner: 'acme', repo: 'forked', branch: 'own', files: { 'c.txt': 'c\n' } });
    const own = await forge.openPullRequest(ref, { head: 'own', base: 'main', title: 'Own', body: '' });
    expect(own).toMatchObject({ headBranch: 'own', fromFork: false });
  });

  it('lets nothing in a pull request’s text notify anybody', async () => {
    await peer.createRepository({ owner: 'acme', name: 'polite', files: { 'a.txt': 'a\n' } });
    await peer.pushBranch({ owner: 'acme', repo: 'polite', branch: 'comio/p', files: { 'b.txt': 'b\n' } });
    await (await forgeOf(peer)).openPullRequest(
      { owner: 'acme', name: 'polite' },
      { head: 'comio/p', base: 'main', title: 'Line one\nline two'.repeat(40), body: 'cc @ada <!-- hidden' },
    );
    const [pull] = await peer.pullRequests({ owner: 'acme', repo: 'polite' });
    expect(pull?.body).not.toMatch(/@ada|<!--/);
    expect(pull?.title.length).toBeLessThanOrEqual(256);
    expect(pull?.title).not.toContain('\n');
  });

  it.each([
    [500, {}, 'unavailable', 'try again'],
    [502, {}, 'unavailable', 'try again'],
    [429, { 'retry-after': '30' }, 'unavailable', 'in 30 s'],
    [403, { 'retry-after': '60' }, 'unavailable', 'in 60 s'],
    [403, {}, 'forbidden', 'permissions'],
    [403, { 'x-accepted-github-permissions': 'pull_requests=write' }, 'forbidden', 'pull_requests=write'],
    [422, {}, 'invalid', 'does not accept'],
  ])('turns %i into words a person can act on', async (status, headers, code, words) => {
    peer.failNext('GET /repos/:owner/:repo', { status, headers: headers as Record<string, string> });
    const failure = await failureOf((await forgeOf(peer)).repository(APP));
    expect(failure.code).toBe(code);
    expect(failure.message).toContain(words);
    expect(failure.message).not.toContain('PRIVATE KEY--');
  });

  it('says what to check when the App’s sign-in is refused', async () => {
    peer.failNext('GET /repos/:owner/:repo/installation', { status: 401 });
    const failure = await failureOf((await forgeOf(peer)).repository(APP));
    expect(failure.code).toBe('forbidden');
    expect(failure.message).toContain('GITHUB_PRIVATE_KEY');
  });

  it('says so when nothing answers, and when the key is somebody else’s', async () => {
    const nowhere = await forgeOf(peer, { GITHUB_API_URL: 'http://127.0.0.1:1' });
    expect((await failureOf(nowhere.repository(APP))).code).toBe('unavailable');
    const stranger = await forgeOf(peer, { GITHUB_APP_ID: '999' });
    expect((await failureOf(stranger.repository(APP))).code).toBe('forbidden');
  });

  it('says which account a new project’s repository needs', async () => {
    const create = async (extra: Record<string, string | undefined>) =>
      (await forgeOf(peer, extra)).createRepository('mine', { description: '', private: true });
    const failure = await failureOf(create({ GITHUB_ORG: undefined }));
    expect(failure).toMatchObject({ code: 'invalid', message: expect.stringContaining('GITHUB_ORG') });
    expect(await failureOf(create({ GITHUB_ORG: 'elsewhere' }))).toMatchObject({ code: 'not_installed' });
    expect(await failureOf(create({ GITHUB_ORG: 'ada' }))).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('GITHUB_TOKEN'),
    });
    expect(await failureOf(create({ GITHUB_ORG: 'ada', GITHUB_TOKEN: peer.tokenOf('grace') }))).toMatchObject(
      {
        code: 'invalid',
      },
    );
    const own = { GITHUB_ORG: 'ada', GITHUB_TOKEN: peer.tokenOf('ada') };
    expect(await create(own)).toMatchObject({ owner: 'ada', name: 'mine', private: true });
    expect((await (await forgeOf(peer, own)).credentials({ owner: 'ada', name: 'mine' })).password).toMatch(
      /^ghs_/,
    );
  });
});
