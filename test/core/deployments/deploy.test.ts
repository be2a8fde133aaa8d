import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGitHubForge } from '#adapters/forge/github.ts';
import { createMemoryTarget } from '#adapters/targets/memory.ts';
import { TargetError } from '#adapters/targets/target.ts';
import { APPROVAL_ACTIONS, type Card } from '#core/conversations/card.ts';
import { createGitHubPeer, type GitHubPeer } from '../../peers/github.ts';
import { type TestComio, testComio } from '../../support/comio.ts';
import { type AppFiles, crashingApp, goodApp, noApp } from '../../support/example-app.ts';
import { listen } from '../../support/listen.ts';
import type { Shown } from '../../support/memory-surface.ts';
import { silentLog } from '../../support/silent-log.ts';

const textOf = (card: Card) => `${card.title}\n${JSON.stringify(card.blocks)}\n${card.footer ?? ''}`;
const NO_CARD: Card = { title: '', tone: 'neutral', blocks: [], actions: [] };
const live = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('deployment:'));
const outcomes = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('deployed:'));
const questions = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('approval:'));

describe('deployments', () => {
  let github: GitHubPeer;
  let count = 0;
  beforeAll(async () => {
    github = await createGitHubPeer();
  });
  afterAll(() => github?.[Symbol.asyncDispose]());

  interface World extends AsyncDisposable {
    comio: TestComio;
    chat: TestComio['chat'];
    repo: string;
    push(files: AppFiles): Promise<string>;
    /** What the app's host name answers, once the proxy has seen the swap: that is a moment after its commit. */
    answers(host: string, expected: { status: number; body?: string }): Promise<void>;
    /** Says it and waits for how it ends. */
    deploy(text: string, user?: string): Promise<Card>;
  }

  /** A project in a repository, imported in thread 1. */
  async function world(
    files: AppFiles,
    roles: Parameters<typeof testComio>[0]['roles'] = {},
    { target, env = {} }: Pick<Parameters<typeof testComio>[0], 'target' | 'env'> = {},
  ): Promise<World> {
    count += 1;
    const repo = `shop${count}`;
    await github.createRepository({ owner: github.org, name: repo, files });
    await using building = new AsyncDisposableStack();
    const forge = createGitHubForge({ ...github.env, GITHUB_TOKEN: undefined }, silentLog);
    const comio = building.use(
      await testComio({
        script: {
          scenarios: [
            {
              name: 'none',
              when: 'nothing',
              steps: [{ toolCalls: [{ name: 'git_status', input: {} }] }],
              final: 'Nothing.',
            },
          ],
        },
        forge,
        target,
        env,
        roles: { ada: 'operator', grace: 'operator', ...roles },
      }),
    );
    const { chat } = comio;
    const server = building.use(await listen(comio.comio.proxy));
    await chat.say(`import ${github.org}/${repo}`);
    await chat.until((shown) => shown.find(({ key }) => key.startsWith('final:')));
    const held = building.move();
    return {
      comio,
      chat,
      repo,
      push: (changed) => github.pushBranch({ owner: github.org, repo, branch: 'main', files: changed }),
      answers: (host, expected) => expect.poll(() => server.get(host, '/')).toMatchObject(expected),
      async deploy(text, user = 'ada') {
        const before = outcomes(chat.shown).length;
        await chat.say(text, { user });
        return (await chat.until((shown) => outcomes(shown)[before])).card;
      },
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  }

  it('puts a commit into staging, shows how, and says where it answers', async () => {
    await using at = await world(goodApp('first'));
    await at.answers(`${at.repo}-staging.localhost`, { status: 404 });
    const outcome = await at.deploy('deploy');
    expect(outcome.title).toBe(`${at.repo} is live in staging`);
    await at.answers(`${at.repo}-staging.localhost`, { status: 200, body: 'first' });
    const [card, ...more] = await at.chat.until(
      (shown) => live(shown)[0]?.card.tone === 'success' && live(shown),
    );
    expect(more).toEqual([]);
    const plan = card?.card.blocks.find(({ type }) => type === 'plan');
    expect(plan).toMatchObject({
      items: [
        { text: expect.stringMatching(/^Commit [0-9a-f]{7} of main$/), state: 'done' },
        { text: 'Built by the recipe for node', state: 'done' },
        { text: 'Started', state: 'done' },
        { text: 'Health checks 2 of 2', state: 'done' },
        { text: expect.stringContaining(`Live at http://${at.repo}-staging.localhost`), state: 'done' },
      ],
    });
    expect(card?.card.actions).toEqual([]);
    const [record, ...others] = github.deployments({ owner: github.org, repo: at.repo });
    expect(others).toEqual([]);
    await expect.poll(() => record?.statuses.map(({ state }) => state)).toEqual(['in_progress', 'success']);
    expect(record?.statuses[1]?.environment_url).toContain(`${at.repo}-staging.localhost`);
  });

  it('replaces what is live, keeps it when the next one fails, and goes back', async () => {
    await using at = await world(goodApp('first'));
    const host = `${at.repo}-staging.localhost`;
    await at.deploy('deploy');
    await at.push(goodApp('second'));
    await at.deploy('deploy staging');
    await at.answers(host, { status: 200, body: 'second' });

    await at.push(crashingApp());
    const crashed = await at.deploy('deploy staging please');
    expect(crashed).toMatchObject({ tone: 'danger' });
    expect(textOf(crashed)).toContain('exit code 3');
    expect(textOf(crashed)).toContain('cannot find the database');
    expect(textOf(crashed)).toContain('keeps serving');
    await at.answers(host, { status: 200, body: 'second' });

    await at.push(noApp());
    expect(await at.deploy('deploy')).toMatchObject({ tone: 'danger' });
    await at.answers(host, { status: 200, body: 'second' });

    const [second] = await at.chat.until((shown) => {
      const now = live(shown).map(({ card }) => card);
      return now.filter(({ actions }) => actions.some(({ id }) => id === 'rollback-staging'));
    });
    expect(second?.actions.map(({ id, style }) => ({ id, style }))).toEqual([
      { id: 'rollback-staging', style: 'danger' },
    ]);
    const before = outcomes(at.chat.shown).length;
    if (second) await at.chat.press(second, 'rollback-staging');
    await at.chat.until((shown) => outcomes(shown)[before]);
    await at.answers(host, { status: 200, body: 'first' });
    // Its card shows another one live since.
    if (second) await at.chat.press(second, 'rollback-staging');
    await at.chat.until((shown) => shown.find(({ card }) => card.title === 'That one is no longer live'));
    await at.answers(host, { status: 200, body: 'first' });
  });

  it('asks somebody else before production, and deploys what they approved', async () => {
    await using at = await world(goodApp('first'));
    const host = `${at.repo}.localhost`;
    const sha = await at.push(goodApp('second'));
    await at.chat.say('deploy production', { user: 'ada' });
    const question = await at.chat.until((shown) => questions(shown)[0]);
    expect(textOf(question.card)).toContain(sha);
    await at.chat.until((shown) =>
      live(shown).find(({ card }) => card.footer?.startsWith('Waits for approval')),
    );
    // Nothing of it changes what was asked about.
    await at.push(goodApp('third'));
    await at.chat.press(question.card, APPROVAL_ACTIONS.approve, { user: 'ada' });
    await at.chat.until((shown) => shown.find(({ key }) => key.startsWith('reply:')));
    await at.answers(host, { status: 503 });
    await at.chat.press(question.card, APPROVAL_ACTIONS.approve, { user: 'grace' });
    await at.chat.until((shown) => outcomes(shown)[0]);
    await at.answers(host, { status: 200, body: 'second' });
    await at.chat.until((shown) =>
      live(shown).some(({ card }) => textOf(card).includes('Approved by grace')),
    );
  });

  it('does not deploy what was approved in place of something else than is live by then', async () => {
    await using at = await world(goodApp('old'));
    const host = `${at.repo}.localhost`;
    await at.chat.say('deploy production', { user: 'ada' });
    const stale = await at.chat.until((shown) => questions(shown)[0]);
    await at.push(goodApp('security fix'));
    await at.chat.say('deploy production', { user: 'ada' });
    const fix = await at.chat.until((shown) => questions(shown)[1]);
    await at.chat.press(fix.card, APPROVAL_ACTIONS.approve, { user: 'grace' });
    await at.chat.until((shown) => outcomes(shown)[0]);
    await at.answers(host, { status: 200, body: 'security fix' });
    await at.chat.press(stale.card, APPROVAL_ACTIONS.approve, { user: 'grace' });
    const refused = await at.chat.until((shown) => outcomes(shown)[1]);
    expect(textOf(refused.card)).toContain('What was approved is not what would be deployed now');
    await at.answers(host, { status: 200, body: 'security fix' });
  });

  it('gives the app what its commit says for the environment, shows it, and asks about it', async () => {
    const app = (env: unknown) => ({
      ...goodApp('first'),
      'server.mjs': goodApp('first')['server.mjs']?.replace("'first'", 'process.env.GREETING') ?? '',
      '.comio/deploy.json': JSON.stringify({ env }),
    });
    await using at = await world(
      app({ staging: { GREETING: 'hello' }, production: { GREETING: 'welcome' } }),
    );
    await at.deploy('deploy staging');
    await at.answers(`${at.repo}-staging.localhost`, { status: 200, body: 'hello' });
    await at.chat.until((shown) => textOf(live(shown)[0]?.card ?? NO_CARD).includes('`GREETING=hello`'));

    await at.chat.say('deploy production');
    const question = await at.chat.until((shown) => questions(shown)[0]);
    expect(textOf(question.card)).toContain('`GREETING=welcome`');
    // Were it another than people saw, it would not be deployed.
    const changed = { variables: JSON.stringify({ production: { GREETING: 'other' } }) };
    await at.comio.db.updateTable('release').set(changed).execute();
    await at.chat.press(question.card, APPROVAL_ACTIONS.approve, { user: 'grace' });
    const refused = await at.chat.until((shown) => outcomes(shown)[1]);
    expect(textOf(refused.card)).toContain('What was approved is not what would be deployed now');

    await at.push(app({ staging: { PORT: '1' } }));
    const bad = await at.deploy('deploy staging');
    expect(textOf(bad)).toContain('PORT is given by Comio');
    await at.answers(`${at.repo}-staging.localhost`, { status: 200, body: 'hello' });
  });

  it('says who rejected it', async () => {
    await using at = await world(goodApp('first'));
    await at.chat.say('deploy prod');
    const question = await at.chat.until((shown) => questions(shown)[0]);
    await at.chat.press(question.card, APPROVAL_ACTIONS.reject, { user: 'grace' });
    const outcome = await at.chat.until((shown) => outcomes(shown)[0]);
    expect(textOf(outcome.card)).toContain('Rejected by grace');
    await at.answers(`${at.repo}.localhost`, { status: 503 });
  });

  it('lets one deployment of an environment follow the other, and stops what waits', async () => {
    await using at = await world(goodApp('first'));
    const host = `${at.repo}-staging.localhost`;
    const first = await at.push(goodApp('one'));
    const second = await at.push(goodApp('second'));
    await at.chat.say(`deploy ref=${first}`);
    await at.chat.say(`deploy ref=${second}`);
    await at.chat.until((shown) => outcomes(shown)[1]);
    expect(outcomes(at.chat.shown).map(({ card }) => textOf(card))).toEqual([
      expect.stringContaining(first.slice(0, 7)),
      expect.stringContaining(second.slice(0, 7)),
    ]);
    await at.answers(host, { status: 200, body: 'second' });
    await at.chat.say('deploy production');
    await at.chat.until((shown) => questions(shown)[0]);
    await at.chat.say('stop');
    const stopped = await at.chat.until((shown) => outcomes(shown)[2]);
    expect(textOf(stopped.card)).toContain('stopped');
    await at.chat.until((shown) => questions(shown)[0]?.card.title.startsWith('Withdrawn'));
  });

  it('shows environments in the status, and what an app printed', async () => {
    await using at = await world(goodApp('first'));
    await at.deploy('deploy');
    await at.chat.say('status');
    const status = await at.chat.until((shown) => shown.find(({ key }) => key.startsWith('reply:')));
    expect(textOf(status.card)).toMatch(/Staging.*`[0-9a-f]{7}` at http:.*-staging\.localhost.* since /);
    await at.chat.say('logs staging lines=5');
    const logs = await at.chat.until((shown) => shown.find(({ card }) => card.title.startsWith('Logs of')));
    expect(textOf(logs.card)).toContain('first listens');
    const found = await at.comio.comio.app.request(
      '/deployments/targets',
      {},
      {
        incoming: { headers: {}, socket: { remoteAddress: '127.0.0.1' } },
      },
    );
    expect(await found.json()).toEqual([
      {
        targets: [expect.stringMatching(/^127\.0\.0\.1:\d+$/)],
        labels: {
          app: `${at.repo}-staging`,
          project: at.repo,
          environment: 'staging',
          commit: expect.stringMatching(/^[0-9a-f]{40}$/),
        },
      },
    ]);
    expect((await at.comio.comio.app.request('/deployments/targets')).status).toBe(403);
  });

  it('says so when the logs cannot be read', async () => {
    await using memory = createMemoryTarget();
    await using at = await world(
      goodApp('first'),
      {},
      {
        target: {
          ...memory,
          logs: () => Promise.reject(new TargetError('unavailable', 'Docker did not answer.')),
        },
      },
    );
    await at.deploy('deploy');
    await at.chat.say('logs staging');
    const said = await at.chat.until((shown) => shown.find(({ key }) => key.startsWith('reply:')));
    expect(textOf(said.card)).toContain('The logs could not be read');
  });

  it('gives no link that people cannot open', async () => {
    const env = { PUBLIC_URL: 'https://comio.example.com' };
    await using at = await world(goodApp('first'), {}, { env });
    const outcome = textOf(await at.deploy('deploy'));
    expect(outcome).toContain(`${at.repo}-staging now answers`);
    expect(outcome).toContain('until DEPLOY_DOMAIN is set');
    await at.chat.say('status');
    const status = await at.chat.until((shown) => shown.find(({ key }) => key.startsWith('reply:')));
    for (const { card } of [...at.chat.shown, status]) expect(textOf(card)).not.toContain('localhost');
    const [record] = github.deployments({ owner: github.org, repo: at.repo });
    await expect.poll(() => record?.statuses.map(({ state }) => state)).toEqual(['in_progress', 'success']);
    for (const told of record?.statuses ?? []) expect(told.environment_url ?? '').toBe('');
  });

  it('says what is missing', async () => {
    await using at = await world(goodApp('first'));
    const replies = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('reply:'));
    for (const [text, said] of [
      ['rollback', 'Nothing is live in staging'],
      ['logs production', 'Nothing is live in production'],
    ]) {
      const before = replies(at.chat.shown).length;
      await at.chat.say(text ?? '');
      expect((await at.chat.until((shown) => replies(shown)[before])).card.title).toBe(said);
    }
    expect(textOf(await at.deploy('deploy ref=nowhere'))).toContain(
      'There is no branch, tag or commit nowhere',
    );
  });

  it('needs the operator role', async () => {
    await using at = await world(goodApp('first'));
    await at.chat.say('deploy', { user: 'mallory' });
    await at.chat.until((shown) => shown.find(({ card }) => card.title.startsWith('Sorry mallory')));
    expect(live(at.chat.shown)).toEqual([]);
  });
});
