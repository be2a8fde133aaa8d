import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createDiscordPeer } from '../peers/discord.ts';
import { createGitHubPeer } from '../peers/github.ts';
import { createSlackPeer, type SlackMessage } from '../peers/slack.ts';
import { dockerHost } from '../support/docker.ts';
import { type Service, startService } from '../support/service.ts';
import { textOfBlocks } from '../support/slack-text.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { expectNothingLeft, removeSandboxesOf, rowsOf } from './crash-run.ts';

const COPIES = 3;
const call = (name: string, input: unknown) => ({ name, input });

const SCRIPT = {
  scenarios: [
    {
      name: 'greet',
      when: 'greeting',
      steps: [{ toolCalls: [call('create_file', { path: 'hello.txt', content: 'Hello\n' })] }],
      final: 'It greets.',
    },
    { name: 'what', when: 'what does', steps: [{ text: 'It says hello.' }] },
    { name: 'who', when: 'who is', steps: [{ text: 'It is for everybody.' }] },
    {
      name: 'fix it',
      when: '\\bfix it\\b',
      steps: [
        { toolCalls: [call('create_file', { path: 'fixed.txt', content: 'once\n' })] },
        { toolCalls: [call('git_commit', { message: 'Fix it' })] },
        { toolCalls: [call('publish', { title: 'Fix it', body: 'It was broken.' })] },
      ],
      final: 'Fixed.',
    },
  ],
};

/** Always the same disorder for the same seed: Fisher and Yates over a linear congruential generator. */
const disorder =
  (seed: number) =>
  <T>(all: T[]): T[] => {
    const mixed = [...all];
    let state = seed;
    for (let last = mixed.length - 1; last > 0; last -= 1) {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      const other = state % (last + 1);
      [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
    }
    return mixed;
  };

interface Running extends AsyncDisposable {
  service: Service;
  /** So many deliveries of so many messages have arrived since the start, and nothing is left to do or to send. */
  idle(deliveries: number, messages: number): Promise<void>;
  /** Ends the service and reads its rows. */
  finish(): Promise<Awaited<ReturnType<typeof rowsOf>>>;
}

async function run(settings: Record<string, string>): Promise<Running> {
  await using building = new AsyncDisposableStack();
  const { path } = building.use(await createTempDir());
  const script = join(path, 'script.json');
  await writeFile(script, JSON.stringify(SCRIPT));
  const dataDir = join(path, 'data');
  await mkdir(dataDir);
  const service = building.use(
    await startService(
      {
        COMIO_DATA_DIR: dataDir,
        LLM_PROVIDER: 'scripted',
        LLM_SCRIPT: script,
        ...(dockerHost ? { DOCKER_HOST: dockerHost } : {}),
        ...settings,
      },
      { shortLived: true },
    ),
  );
  const gauge = async (name: string): Promise<number> => {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
  };
  const finish = async () => {
    await service.terminate();
    return rowsOf({ dataDir });
  };
  const held = building.move();
  return {
    service,
    async idle(deliveries, messages) {
      const received = () => service.records.filter(({ msg }) => msg === 'message received');
      const claimed = () => received().filter(({ result }) => result === 'claimed').length;
      const open = async () => {
        const undecided = claimed() - service.records.filter(({ msg }) => msg === 'message decided').length;
        return undecided + (await gauge('comio_turns_open')) + (await gauge('comio_outbox_pending'));
      };
      await expect.poll(() => received().length, { timeout: 60_000 }).toBeGreaterThanOrEqual(deliveries);
      // Who lost its connection reads again what it knows: the first count alone may be full of copies of the first.
      await expect.poll(claimed, { timeout: 60_000 }).toBe(messages);
      await expect.poll(open, { timeout: 60_000, interval: 100 }).toBe(0);
    },
    finish,
    async [Symbol.asyncDispose]() {
      await removeSandboxesOf((await finish()).runs);
      await held.disposeAsync();
    },
  };
}

const threads = (count: number) => Array.from({ length: count }, (_, index) => index);

describe.each(['HTTP', 'Socket Mode'])('Slack over %s', (way) => {
  it('does once what it is told three times, out of order and at once', { timeout: 240_000 }, async () => {
    await using slack = await createSlackPeer();
    const { SLACK_APP_TOKEN, ...rest } = slack.env;
    await using comio = await run({
      ...rest,
      ...(way === 'Socket Mode' ? { SLACK_APP_TOKEN } : {}),
      SLACK_UPDATE_MS: '100',
    });
    if (way === 'HTTP') slack.deliverTo(`${comio.service.url}/slack/events`);
    const text = (message: SlackMessage) => textOfBlocks(message.blocks) || message.text;
    const answers = async (ts: string) =>
      (await slack.thread(ts)).filter(({ user }) => user === slack.ids.bot).map(text);

    // Each mention comes as two kinds of events, each of them three times; the slash command comes three times.
    slack.hold();
    const roots = await Promise.all(
      threads(2).map(() => slack.say({ user: 'ada', text: '@comio new a greeting', copies: COPIES })),
    );
    slack.slash({ user: 'ada', text: 'new a greeting', copies: COPIES });
    slack.release(disorder(1));
    await slack.idle();
    await comio.idle(15, 3);
    const delivered = slack.deliveries.filter(({ what }) => what === 'app_mention' || what === '/comio');
    expect(delivered).toHaveLength(roots.length * COPIES + COPIES);
    const own = (await slack.history()).filter(({ user }) => user === slack.ids.bot);
    expect(own).toHaveLength(1);
    const all = [...roots, ...own.map(({ ts }) => ts)];

    slack.hold();
    const said: string[] = [];
    for (const thread of all)
      for (const question of ['@comio ask what does it do', '@comio ask who is it for'])
        said.push(await slack.say({ user: 'ada', text: question, thread, copies: COPIES }));
    slack.release(disorder(2));
    await slack.idle();
    await comio.idle(51, 9);

    const undo = await slack.say({ user: 'ada', text: '@comio undo', thread: roots[0], copies: COPIES });
    await slack.idle();
    await comio.idle(57, 10);
    const [root = ''] = roots;
    const preview = await slack.until(
      async () => (await slack.thread(root)).find((message) => text(message).includes('[Keep]')),
      60_000,
    );
    await slack.press({ ts: preview.ts, user: 'ada', actionId: 'undo-keep', copies: COPIES });
    await slack.idle();
    await comio.idle(60, 11);

    for (const thread of all) {
      const seen = await answers(thread);
      const count = (what: string) => seen.filter((one) => one.includes(what)).length;
      expect(count('> It greets.'), 'one answer').toBe(1);
      expect(count('It says hello.')).toBe(1);
      expect(count('It is for everybody.')).toBe(1);
      expect(count('Finished'), 'one card for each turn').toBe(thread === root ? 4 : 3);
      // One answer to the press, beside card and preview of the undo.
      expect(count('Kept as it is')).toBe(thread === root ? 1 : 0);
      expect(seen).toHaveLength(thread === root ? 9 : 6);
    }
    for (const ts of [...roots, ...said, undo])
      expect((await slack.reactions(ts)).sort()).toEqual(['eyes', 'white_check_mark']);
    const turns = all.length * 3 + 1;
    const rows = await comio.finish();
    expect(rows.turns).toHaveLength(turns);
    await expectNothingLeft(
      { ...rows, messages: rows.messages.filter(({ id }) => !id.startsWith('slack:act:')) },
      { runs: all.length, messages: turns },
    );
    expect(rows.messages).toHaveLength(turns + 1);
  });
});

describe('GitHub', () => {
  it('does once what it is told three times, out of order and at once', { timeout: 240_000 }, async () => {
    await using github = await createGitHubPeer();
    await using comio = await run({ ...github.env, GITHUB_UPDATE_MS: '100' });
    github.deliverTo(`${comio.service.url}/github/webhooks`);
    const where = { owner: github.org, repo: 'greeter' };
    await github.createRepository({ owner: where.owner, name: where.repo, files: { 'README.md': 'Hi\n' } });
    const deliver = COPIES;

    github.deliveries.hold();
    const first = { ...where, user: 'ada', title: 'Broken', body: '@comio fix it', deliver };
    const issues = [
      await github.openIssue(first),
      await github.openIssue({ ...first, title: 'Broken, too' }),
    ];
    await github.deliveries.release(disorder(3));
    await comio.idle(6, 2);
    const pulls = await github.pullRequests(where);
    expect(pulls).toHaveLength(2);

    // A comment on each issue, one on each pull request, and one on a line of each: all belong to the two runs.
    github.deliveries.hold();
    const comments = [];
    const reviewed = [];
    for (const { number } of [...issues, ...pulls])
      comments.push(
        await github.comment({ ...where, number, user: 'ada', body: '@comio ask what does it do', deliver }),
      );
    for (const { number } of pulls)
      reviewed.push(
        await github.reviewComment({
          ...where,
          number,
          user: 'grace',
          body: '@comio ask who is it for',
          path: 'fixed.txt',
          line: 1,
          deliver,
        }),
      );
    await github.deliveries.release(disorder(4));
    await comio.idle(24, 8);
    expect(github.deliveries.all.filter(({ redelivery }) => redelivery)).toHaveLength(8 * (COPIES - 1));

    const read = async (number: number) =>
      (await github.comments({ ...where, number })).filter(({ byBot }) => byBot).map(({ body }) => body);
    const count = (bodies: string[], what: string) => bodies.filter((body) => body.includes(what)).length;
    for (const { number } of issues) {
      const bodies = await read(number);
      expect(count(bodies, '> Fixed.')).toBe(1);
      expect(count(bodies, 'It says hello.')).toBe(1);
      expect(bodies).toHaveLength(4);
      expect(
        github
          .issueReactions({ ...where, number })
          .map(({ content }) => content)
          .sort(),
      ).toEqual(['eyes', 'rocket']);
    }
    for (const { number } of pulls) {
      const bodies = await read(number);
      expect(count(bodies, 'It says hello.')).toBe(1);
      expect(count(bodies, 'It is for everybody.')).toBe(1);
      expect(bodies).toHaveLength(4);
    }
    for (const { id } of reviewed) {
      const reactions = github.reviewCommentReactions({ ...where, id });
      expect(reactions.map(({ content }) => content).sort()).toEqual(['eyes', 'rocket']);
    }
    expect(await github.pullRequests(where)).toEqual(pulls);
    expect(await github.branches(where)).toHaveLength(3);
    await expectNothingLeft(await comio.finish(), { runs: 2, messages: 8 });
  });
});

describe('Discord', () => {
  it('does once what it is told three times, out of order and at once', { timeout: 240_000 }, async () => {
    await using discord = await createDiscordPeer();
    await using comio = await run({
      DISCORD_TOKEN: discord.token,
      DISCORD_API_URL: discord.url,
      DISCORD_APPLICATION_ID: discord.ids.application,
      DISCORD_OPERATOR_ROLES: discord.ids.operators,
      DISCORD_UPDATE_MS: '100',
    });
    const by = discord.person('Ada', [discord.ids.operators]);
    const { channel } = discord.ids;
    const say = (where: string, text: string) =>
      discord.say({ in: where, by, text, mention: 'bot', deliver: COPIES }).id;

    discord.hold();
    const roots = threads(2).map(() => say(channel, 'new a greeting'));
    discord.slash({ in: channel, by, verb: 'new', options: { description: 'a greeting' }, deliver: COPIES });
    discord.release(disorder(5));
    await comio.idle(9, 3);
    const own = discord.messages(channel).filter(({ author }) => author.id === discord.ids.bot);
    expect(own).toHaveLength(1);
    const all = [...roots, ...own.map(({ id }) => id)];

    discord.hold();
    const said = all.flatMap((thread) => [
      say(thread, 'ask what does it do'),
      say(thread, 'ask who is it for'),
    ]);
    discord.release(disorder(6));
    await comio.idle(27, 9);
    // A session that is lost for good: the bot reads again what was said lately, and knows it all.
    discord.drop({ forget: true });
    await expect.poll(() => discord.connections(), { timeout: 30_000 }).toBe(1);
    await comio.idle(27, 9);

    for (const thread of all) {
      const seen = [
        ...discord.messages(channel).filter(({ id }) => id === thread),
        ...discord.messages(thread),
      ]
        .filter(({ author }) => author.id === discord.ids.bot)
        .map(discord.text);
      const count = (what: string) => seen.filter((one) => one.includes(what)).length;
      expect(count('It greets.')).toBe(1);
      expect(count('It says hello.')).toBe(1);
      expect(count('It is for everybody.')).toBe(1);
      expect(seen).toHaveLength(6);
    }
    for (const id of [...roots, ...said]) expect(discord.reactions(id).sort()).toEqual(['✅', '👀'].sort());
    await expectNothingLeft(await comio.finish(), { runs: all.length, messages: all.length * 3 });
  });
});
