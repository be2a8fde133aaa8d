import { createHmac } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createGitHubApp } from '#adapters/forge/github-app.ts';
import { sweepDeliveries } from '#bots/github/deliveries.ts';
import { env } from '#bots/github/github.ts';
import { loadConfig } from '#core/config.ts';
import { type Card, textCard } from '#core/conversations/card.ts';
import { type Inbound, SurfaceError } from '#core/conversations/surface.ts';
import { createLogger } from '#observability/log.ts';
import { type LocalGitHub, REPO, startLocalGitHub } from './support.ts';

describe('GitHub as a surface, its own ways', () => {
  const heard: Inbound[] = [];
  let failing = false;
  let local: LocalGitHub;
  beforeAll(async () => {
    local = await startLocalGitHub(async (inbound) => {
      if (failing) throw new Error('the database is away');
      const known = heard.some(({ id }) => id === inbound.id);
      heard.push(inbound);
      return known ? 'duplicate' : 'claimed';
    });
  });
  afterAll(() => local?.[Symbol.asyncDispose]());
  beforeEach(() => {
    heard.length = 0;
  });
  afterEach(() => {
    failing = false;
    local.peer.heal();
  });

  const openIssue = (body: string, options: { deliver?: number; labels?: string[] } = {}) =>
    local.peer.openIssue({ ...REPO, user: 'ada', title: 'A title', body, ...options });
  const openPull = async (branch: string): Promise<number> => {
    // Of the same files, within one second, the same commit would be made.
    const files = { 'a.txt': 'one\nTWO\nthree\nfour\n', 'branch.txt': branch };
    await local.peer.pushBranch({ ...REPO, branch, files });
    const answer = await fetch(`${local.peer.url}/repos/acme/app/pulls`, {
      method: 'POST',
      headers: { authorization: `token ${local.peer.tokenOf('ada')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ title: 'A change', head: branch, base: 'main' }),
    });
    return ((await answer.json()) as { number: number }).number;
  };
  const first = (): Inbound => {
    const [inbound] = heard;
    if (!inbound) throw new Error('nothing was heard');
    return inbound;
  };
  const codeOf = async (work: Promise<unknown>): Promise<SurfaceError> => {
    const error = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error instanceof SurfaceError) return error;
    throw new Error(`expected a SurfaceError, got ${error}`);
  };

  it('hears a review comment with its place, and reacts on it', async () => {
    const number = await openPull('change');
    const on = { ...REPO, number, user: 'ada', path: 'a.txt' };
    const { id } = await local.peer.reviewComment({
      ...on,
      line: 2,
      body: '@comio lower case, please',
      deliver: 3,
    });
    expect(heard).toHaveLength(3);
    expect(new Set(heard.map((inbound) => inbound.id)).size).toBe(1);
    const inbound = first();
    expect(inbound).toMatchObject({
      addressed: true,
      text: 'lower case, please',
      conversation: { key: `acme/app#${number}` },
      repository: { owner: 'acme', name: 'app', pullRequest: number },
    });
    expect(inbound.review).toMatchObject({ path: 'a.txt', line: 2 });
    expect(inbound.review?.diffHunk).toBe('@@ -1,3 +1,4 @@\n one\n-two\n+TWO');
    if (!inbound.reactTo) throw new Error('a review comment can be reacted to');
    await local.surface.react(inbound.reactTo, 'seen');
    await local.surface.react(inbound.reactTo, 'failed');
    expect(local.peer.reviewCommentReactions({ ...REPO, id })).toMatchObject([
      { content: 'eyes', login: 'comio[bot]' },
      { content: 'confused', login: 'comio[bot]' },
    ]);
    // The answer is in the pull request's conversation.
    await local.surface.post(inbound.conversation, textCard('On it', 'working'), 'key');
    expect(await local.peer.comments({ ...REPO, number })).toMatchObject([
      { login: 'comio[bot]', byBot: true },
    ]);
  });

  it('tells a pull request from an issue, and hears the text of a review', async () => {
    const number = await openPull('other-change');
    await local.peer.comment({ ...REPO, number, user: 'ada', body: '/comio fix the tests' });
    await local.peer.review({ ...REPO, number, user: 'grace', body: '@comio edit the title' });
    expect(heard.map(({ text, repository }) => [text, repository?.pullRequest, repository?.issue])).toEqual([
      ['fix the tests', number, undefined],
      ['edit the title', number, undefined],
    ]);
    expect(heard[1]?.reactTo).toBeUndefined();
  });

  it('hears what comes in another order as what was said', async () => {
    const { number } = await openIssue('@comio start');
    heard.length = 0;
    local.peer.deliveries.hold();
    for (const body of ['first', 'second', 'third']) {
      await local.peer.comment({ ...REPO, number, user: 'ada', body, deliver: 2 });
    }
    expect(heard).toEqual([]);
    await local.peer.deliveries.release();
    expect(heard).toHaveLength(6);
    const said = [...new Map(heard.map((inbound) => [inbound.id, inbound])).values()];
    const bySentAt = said.toSorted((a, b) => a.sentAt.localeCompare(b.sentAt));
    expect(new Set(said.map(({ conversation }) => conversation.key))).toEqual(
      new Set([`acme/app#${number}`]),
    );
    expect(bySentAt.map(({ text }) => text)).toEqual(['first', 'second', 'third']);
  });

  it('is not fooled by a wrong signature', async () => {
    const post = (body: string, headers: Record<string, string>) =>
      local.app.request('/github/webhooks', { method: 'POST', body, headers });
    const body = JSON.stringify({ action: 'created' });
    const headers = { 'x-github-event': 'issue_comment', 'x-github-delivery': 'guid' };
    const wrong = `sha256=${createHmac('sha256', 'guessed').update(body).digest('hex')}`;
    expect((await post(body, { ...headers, 'x-hub-signature-256': wrong })).status).toBe(401);
    expect((await post(body, { ...headers, 'x-hub-signature-256': 'sha256=nonsense' })).status).toBe(401);
    expect((await post(body, headers)).status).toBe(400);
    const secret = local.peer.env.GITHUB_WEBHOOK_SECRET;
    const sign = (text: string) => `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`;
    expect((await post('no JSON', { ...headers, 'x-hub-signature-256': sign('no JSON') })).status).toBe(500);
    const other = { ...headers, 'x-github-event': 'push' };
    expect((await post('{}', { ...other, 'x-hub-signature-256': sign('{}') })).status).toBe(200);
    expect(heard).toEqual([]);
  });

  it('does not take what could not be kept, and asks GitHub for it again', async () => {
    failing = true;
    await openIssue('@comio remember this');
    const failed = local.peer.deliveries.all.at(-1);
    expect(failed).toMatchObject({ event: 'issues', statusCode: 500 });
    expect(heard).toEqual([]);
    failing = false;
    const settings = loadConfig(env, local.peer.env);
    const { client } = createGitHubApp(settings, createLogger('silent'));
    // As it is a minute later: what has just failed may still be tried.
    expect(await sweepDeliveries(client)).toBe(0);
    const later = Date.now() + 60_000;
    expect(await sweepDeliveries(client, later)).toBe(1);
    expect(heard.map(({ text }) => text)).toEqual(['remember this\n\nIssue: A title']);
    expect(local.peer.deliveries.all.at(-1)).toMatchObject({ guid: failed?.guid, redelivery: true });
    expect(await sweepDeliveries(client, later)).toBe(0);
    // Nobody was there at all.
    local.peer.deliverTo('http://127.0.0.1:1/');
    await openIssue('@comio and this');
    local.peer.deliverTo(`${local.url}/github/webhooks`);
    expect(await sweepDeliveries(client, later)).toBe(1);
    expect(heard.at(-1)?.text).toContain('and this');
    // Two days later it is too late.
    expect(await sweepDeliveries(client, Date.now() + 2 * 86_400_000)).toBe(0);
  });

  it('finds its own comment among hundreds, and nobody else’s', async () => {
    const { number } = await openIssue('@comio start');
    const { conversation } = first();
    const key = 'run/1';
    const rendered = '<!-- comio:run%2F1 -->\n### Mine';
    await local.peer.comment({ ...REPO, number, user: 'mallory', body: rendered });
    expect(await local.surface.find(conversation, key)).toBeUndefined();
    for (let count = 0; count < 120; count += 1)
      await local.peer.comment({ ...REPO, number, user: 'ada', body: `talk ${count}`, deliver: 0 });
    const ref = await local.surface.post(conversation, textCard('Mine', 'neutral'), key);
    for (let count = 0; count < 10; count += 1)
      await local.peer.comment({ ...REPO, number, user: 'ada', body: `more ${count}`, deliver: 0 });
    expect((await local.surface.find(conversation, key))?.at).toEqual(ref.at);
    expect((await local.surface.find(conversation, key))?.url).toBe(ref.url);
  });

  it('finds what a call that was cut off has posted', async () => {
    await openIssue('@comio start');
    const { conversation } = first();
    local.peer.failNext('POST /repos/:owner/:repo/issues/:n/comments', { status: 502, when: 'after' });
    const failure = await codeOf(local.surface.post(conversation, textCard('Once', 'neutral'), 'once'));
    expect(failure.code).toBe('unavailable');
    expect(await local.surface.find(conversation, 'once')).toBeDefined();
    // Nothing is repeated behind the caller's back.
    const number = Number(conversation.at.number);
    expect((await local.peer.comments({ ...REPO, number })).filter(({ byBot }) => byBot)).toHaveLength(1);
  });

  it.each([
    [403, { 'retry-after': '7' }, 'rate_limited', 7000],
    [429, { 'retry-after': '2' }, 'rate_limited', 2000],
    [403, {}, 'forbidden', undefined],
    [410, {}, 'gone', undefined],
    [422, {}, 'invalid', undefined],
    [503, {}, 'unavailable', undefined],
  ])('turns %i %j into the port’s %s', async (status, headers, code, retryAfterMs) => {
    await openIssue('@comio start');
    const route = 'POST /repos/:owner/:repo/issues/:n/comments';
    local.peer.failNext(route, { status, headers: headers as Record<string, string> });
    const failure = await codeOf(local.surface.post(first().conversation, textCard('T', 'neutral'), 'k'));
    expect(failure).toMatchObject({ code, retryAfterMs });
  });

  it.each([
    ['admin', 'admin'],
    ['maintain', 'operator'],
    ['write', 'operator'],
    ['triage', 'viewer'],
    ['read', 'viewer'],
    ['none', 'none'],
  ] as const)('takes %s permission for %s', async (permission, role) => {
    await openIssue('@comio start');
    const { author, conversation } = first();
    local.peer.setPermission('ada', permission, 'acme/app');
    expect((await local.surface.role(author, conversation)).role).toBe(role);
    local.peer.setPermission('ada', 'write', 'acme/app');
  });

  describe('a question on a pull request', () => {
    const value = '3f2a1b0c-94a1-4f0e-8d5b-0123456789ab';
    const key = `approval:${value}`;
    const question: Card = {
      ...textCard('Publish the fix of the slow orders to shop?', 'warning', 'One file, **+3 −1**'),
      actions: [
        { id: 'approval-approve', label: 'Approve', style: 'primary', value },
        { id: 'approval-reject', label: 'Reject', style: 'danger', value },
      ],
    };
    let count = 0;
    const ask = async () => {
      count += 1;
      const branch = `question-${count}`;
      const number = await openPull(branch);
      const at = { ...REPO, number };
      const conversation = { surface: 'github' as const, key: `acme/app#${number}`, at };
      const sha = (await local.peer.branches(REPO)).find(({ name }) => name === branch)?.sha;
      const runs = () => local.peer.checkRuns(REPO).filter(({ head_sha }) => head_sha === sha);
      return { conversation, number, branch, runs, sha };
    };
    const ours = async (number: number) =>
      (await local.peer.comments({ ...REPO, number })).filter(({ byBot }) => byBot);

    it('is a check run with buttons, too, until it was decided', async () => {
      const { conversation, number, runs, branch } = await ask();
      const ref = await local.surface.post(conversation, question, key);
      const [run] = runs();
      expect(runs()).toHaveLength(1);
      expect(run).toMatchObject({
        name: 'Approval 3f2a1b0c',
        status: 'completed',
        conclusion: 'action_required',
        output: { title: question.title, summary: expect.stringContaining('**+3 −1**') },
        actions: [
          { label: 'Approve', identifier: 'approval-approve' },
          { label: 'Reject', identifier: 'approval-reject' },
        ],
      });
      expect((await ours(number))[0]?.body).toContain('/comio approve 3f2a1b0c');

      await local.peer.pressCheck({
        ...REPO,
        id: run?.id ?? 0,
        user: 'grace',
        identifier: 'approval-approve',
        deliver: 3,
      });
      expect(heard).toHaveLength(3);
      expect(new Set(heard.map(({ id }) => id)).size).toBe(1);
      expect(first()).toMatchObject({
        kind: 'action',
        conversation,
        author: { id: 'grace' },
        action: { id: 'approval-approve', value },
        repository: { owner: 'acme', name: 'app', pullRequest: number },
      });
      expect((await local.surface.role(first().author, first().conversation)).role).toBe('operator');

      // It ends where it was asked, although the branch has moved.
      await local.peer.pushBranch({ ...REPO, branch, files: { 'b.txt': 'more\n' } });
      const approved = textCard('Approved: publish', 'success');
      await local.surface.update(ref, approved, key);
      await local.surface.update(ref, approved, key);
      expect(runs()).toMatchObject([
        { conclusion: 'success', actions: [], output: { title: 'Approved: publish' } },
      ]);
    });

    it.each([
      ['danger', 'failure'],
      ['neutral', 'neutral'],
    ] as const)('that ends as %s is a %s', async (tone, conclusion) => {
      const { conversation, runs } = await ask();
      const ref = await local.surface.post(conversation, question, key);
      await local.surface.update(ref, textCard('Over', tone), key);
      expect(runs()).toMatchObject([{ conclusion, actions: [] }]);
    });

    it('is asked once, wherever the first attempt was cut off', async () => {
      const { conversation, number, runs } = await ask();
      for (const route of [
        'POST /repos/:owner/:repo/check-runs',
        'POST /repos/:owner/:repo/issues/:n/comments',
      ]) {
        local.peer.failNext(route, { status: 502, when: 'after' });
        expect((await codeOf(local.surface.post(conversation, question, key))).code).toBe('unavailable');
        if ((await local.surface.find(conversation, key)) === undefined) continue;
        break;
      }
      const found = await local.surface.find(conversation, key);
      if (!found) throw new Error('the comment was posted');
      await local.surface.update(found, question, key);
      expect(runs()).toHaveLength(1);
      expect(await ours(number)).toHaveLength(1);
      await local.surface.update(found, textCard('Approved', 'success'), key);
      expect(runs()).toMatchObject([{ conclusion: 'success' }]);
    });

    it('is a comment where the App may not make check runs', async () => {
      const { conversation, number, runs } = await ask();
      local.peer.breakRoute('POST /repos/:owner/:repo/check-runs', 403);
      const ref = await local.surface.post(conversation, question, key);
      expect(runs()).toEqual([]);
      expect(await ours(number)).toHaveLength(1);
      await local.surface.update(ref, textCard('Approved', 'success'), key);
    });

    it('is a comment on an issue, and any other card is no check run', async () => {
      await openIssue('@comio start');
      await local.surface.post(first().conversation, question, key);
      const { conversation, runs } = await ask();
      await local.surface.post(conversation, textCard('Working', 'working'), 'run:1');
      expect(runs()).toEqual([]);
      expect(await ours(Number(first().conversation.at.number))).toHaveLength(1);
    });
  });

  it('says who it is and where', () => {
    const detail = `comio[bot] on ${new URL(local.peer.url).host}`;
    expect(local.surface.status()).toEqual({ connected: true, detail });
  });

  it('says that the App is no longer installed', async () => {
    const at = { owner: 'elsewhere', repo: 'gone', number: 1 };
    const conversation = { surface: 'github' as const, key: 'elsewhere/gone#1', at };
    const failure = await codeOf(local.surface.post(conversation, textCard('T', 'neutral'), 'k'));
    expect(failure).toMatchObject({ code: 'gone', message: expect.stringContaining('not installed') });
  });
});
