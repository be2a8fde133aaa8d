import { setTimeout } from 'node:timers/promises';
import type { SlackMessage } from '../peers/slack.ts';
import { textOfBlocks } from '../support/slack-text.ts';
import type { Terminal } from './terminal.ts';
import type { World } from './world.ts';

export interface Stage {
  name: string;
  title: string;
  /** Resolves with what was seen from outside, in words; throws when it was not. */
  run(world: World, terminal: Terminal): Promise<string>;
}

/** A real model takes its time. */
const PATIENCE_MS = 600_000;
const TESTS = 'npm test';

const say = async (world: World, terminal: Terminal, text: string, thread?: string): Promise<string> => {
  const ts = await world.slack.say({ user: 'ada', text, thread });
  terminal.show({
    id: `slack:${ts}`,
    thread: `Slack #dev, thread ${thread ?? ts}`,
    author: 'Ada',
    byBot: false,
    text,
  });
  return ts;
};

const textOf = (message: SlackMessage): string => textOfBlocks(message.blocks) || message.text;

const botMessages = async (world: World, thread: string): Promise<SlackMessage[]> =>
  (await world.slack.thread(thread)).filter(({ user }) => user === world.slack.ids.bot);

/** Waits for a message of Comio's in the thread that was not there before and satisfies the test. */
async function answered(
  world: World,
  terminal: Terminal,
  thread: string,
  what: string,
  matches: (text: string) => boolean,
  seen: ReadonlySet<string> = new Set(),
): Promise<SlackMessage> {
  const done = terminal.wait(what);
  try {
    return await world.slack.until(async () => {
      const fresh = (await botMessages(world, thread)).filter(({ ts }) => !seen.has(ts));
      const gaveUp = fresh.map(textOf).find((text) => text.includes('This could not be done'));
      // Nothing else comes then.
      if (gaveUp !== undefined) throw new Error(gaveUp);
      return fresh.find((message) => matches(textOf(message)));
    }, PATIENCE_MS);
  } finally {
    done();
  }
}

const tsOf = async (world: World, thread: string): Promise<Set<string>> =>
  new Set((await botMessages(world, thread)).map(({ ts }) => ts));

async function passes(world: World, terminal: Terminal, repository: string, branch: string): Promise<string> {
  const done = terminal.wait(`cloning ${repository} ${branch} and running its tests again`);
  try {
    const { exitCode, output, sha } = await world.tryOut(repository, branch, TESTS);
    if (exitCode !== 0) throw new Error(`the tests of ${repository} ${branch} fail:\n${output}`);
    const [, count = '?'] = /^(?:#|ℹ) pass (\d+)/m.exec(output) ?? [];
    return `${repository} ${branch} at ${sha.slice(0, 7)}: ${count} tests pass`;
  } finally {
    done();
  }
}

async function only<T>(list: Promise<T[]>, what: string): Promise<T> {
  const found = await list;
  const [one] = found;
  if (found.length !== 1 || one === undefined) throw new Error(`${found.length} ${what} instead of one`);
  return one;
}

/** What the stages share: the thread of the imported project, and its pull request. */
const shared: { thread?: string; pull?: number } = {};
const threadOf = (): string => {
  if (!shared.thread) throw new Error('the stage before this one did not run');
  return shared.thread;
};

const isEnd = (text: string): boolean =>
  /commit/i.test(text) && /tests?/i.test(text) && !/\[Stop\]/.test(text);

const create: Stage = {
  name: 'create',
  title: 'A project from one sentence',
  async run(world, terminal) {
    const ts = await say(world, terminal, '@comio new an API for cooking recipes with tests');
    const live = await answered(world, terminal, ts, 'Comio starts', () => true);
    const end = await answered(
      world,
      terminal,
      ts,
      'Comio builds, tests and publishes',
      isEnd,
      new Set([live.ts]),
    );
    const [, repository] = /\b(acme\/[\w-]+)/.exec(textOf(end)) ?? [];
    if (!repository) throw new Error(`the final message names no repository:\n${textOf(end)}`);
    return passes(world, terminal, repository, 'main');
  },
};

const fix: Stage = {
  name: 'edit',
  title: 'A repository with a failing test, and a word in between',
  async run(world, terminal) {
    const { org } = world.github;
    const ts = await say(world, terminal, `@comio import ${org}/durations`);
    shared.thread = ts;
    await answered(world, terminal, ts, 'Comio imports the repository', (text) => /Imported/.test(text));
    const before = await tsOf(world, ts);
    await say(world, terminal, '@comio fix it', ts);
    const live = await answered(
      world,
      terminal,
      ts,
      'Comio looks at the tests',
      (text) => /failed/.test(text),
      before,
    );
    await say(world, terminal, 'upper-case units like 2H should work too, please, with a test', ts);
    await answered(world, terminal, ts, 'Comio takes the message up', (text) => /Applied/.test(text), before);
    await answered(world, terminal, ts, 'Comio fixes and publishes', isEnd, new Set([...before, live.ts]));
    const pull = await only(world.github.pullRequests({ owner: org, repo: 'durations' }), 'pull requests');
    if (pull.state !== 'open') throw new Error(`the pull request is ${pull.state}`);
    shared.pull = pull.number;
    const files = await world.github.pullRequestFiles({ owner: org, repo: 'durations', number: pull.number });
    const tested = await passes(world, terminal, `${org}/durations`, pull.head.branch);
    return `pull request #${pull.number}, ${files.length} files; ${tested}`;
  },
};

const review: Stage = {
  name: 'review',
  title: 'A review comment is answered by a further commit',
  async run(world, terminal) {
    const on = { owner: world.github.org, repo: 'durations', number: shared.pull ?? 0 };
    const before = await only(world.github.pullRequests(on), 'pull requests');
    const known = new Set((await world.github.comments(on)).map(({ id }) => id));
    const body = '@comio please say in the README that units may be upper case';
    terminal.show({
      id: 'review',
      thread: `GitHub ${on.owner}/${on.repo}#${on.number}, on src/parse.js`,
      author: 'Grace',
      byBot: false,
      text: body,
    });
    await world.github.reviewComment({ ...on, user: 'grace', body, path: 'src/parse.js', line: 1 });
    const done = terminal.wait('Comio answers the review');
    const deadline = Date.now() + PATIENCE_MS;
    let after = before;
    for (;;) {
      const fresh = (await world.github.comments(on)).filter(({ id, byBot }) => byBot && !known.has(id));
      after = await only(world.github.pullRequests(on), 'pull requests');
      if (after.head.sha !== before.head.sha && fresh.some((comment) => isEnd(comment.body))) break;
      if (Date.now() > deadline) throw new Error('the review comment was not answered');
      await setTimeout(200);
    }
    done();
    if (after.head.branch !== before.head.branch) throw new Error('the commit went to another branch');
    const tested = await passes(world, terminal, `${on.owner}/${on.repo}`, after.head.branch);
    return `${before.head.sha.slice(0, 7)} → ${after.head.sha.slice(0, 7)} on the same branch; ${tested}`;
  },
};

const undo: Stage = {
  name: 'undo',
  title: 'Undo, after showing the diff',
  async run(world, terminal) {
    const ts = threadOf();
    const { org } = world.github;
    const number = shared.pull ?? 0;
    const on = { owner: org, repo: 'durations', number };
    const pull = await only(world.github.pullRequests(on), 'pull requests');
    const files = await world.github.pullRequestFiles(on);
    if (!files.some(({ filename }) => filename === 'README.md'))
      throw new Error('the review changed no README');
    const before = await tsOf(world, ts);
    await say(world, terminal, '@comio undo', ts);
    const preview = await answered(
      world,
      terminal,
      ts,
      'Comio shows what undo would change',
      (text) => /README\.md/.test(text) && /\[Undo\]/.test(text),
      before,
    );
    terminal.show({
      id: 'undo-press',
      thread: `Slack #dev, thread ${ts}`,
      author: 'Ada',
      byBot: false,
      text: 'presses [Undo]',
    });
    await world.slack.press({ ts: preview.ts, user: 'ada', actionId: 'undo-confirm' });
    await answered(
      world,
      terminal,
      ts,
      'Comio goes back',
      (text) => /Undone/.test(text) && !/\[/.test(text),
      before,
    );
    const left = await world.github.pullRequestFiles(on);
    if (left.some(({ filename }) => filename === 'README.md')) throw new Error('the README is still changed');
    const now = await only(world.github.pullRequests(on), 'pull requests');
    const tested = await passes(world, terminal, `${org}/durations`, now.head.branch);
    return `${pull.head.sha.slice(0, 7)} → ${now.head.sha.slice(0, 7)}, README as before; ${tested}`;
  },
};

export const stages: readonly Stage[] = [create, fix, review, undo];
