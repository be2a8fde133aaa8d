import type { SlackMessage } from '../../peers/slack.ts';
import { textOfBlocks } from '../../support/slack-text.ts';
import type { Terminal } from '../terminal.ts';
import type { World } from '../world.ts';

/** What `npm run demo -- PART` walks alone. */
export type Part = 'create' | 'edit' | 'incident';

export interface Stage {
  part: Part;
  title: string;
  /** Resolves with what was seen from outside, in words; throws when it was not. */
  run(world: World, terminal: Terminal): Promise<string>;
}

/** A real model takes its time. */
export const PATIENCE_MS = 600_000;
const TESTS = 'npm test';

/** Ada says it in Slack. */
export const say = async (
  world: World,
  terminal: Terminal,
  text: string,
  thread?: string,
): Promise<string> => {
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

export const textOf = (message: SlackMessage): string => textOfBlocks(message.blocks) || message.text;

export const botMessages = async (world: World, thread: string): Promise<SlackMessage[]> =>
  (await world.slack.thread(thread)).filter(({ user }) => user === world.slack.ids.bot);

/** Waits for a message of Comio's in the thread that was not there before and satisfies the test. */
export async function answered(
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

/** The messages of Comio's that are in the thread already. */
export const tsOf = async (world: World, thread: string): Promise<Set<string>> =>
  new Set((await botMessages(world, thread)).map(({ ts }) => ts));

/** Clones a branch as anybody could, and runs its tests. */
export async function passes(
  world: World,
  terminal: Terminal,
  repository: string,
  branch: string,
): Promise<string> {
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

export async function only<T>(list: Promise<T[]>, what: string): Promise<T> {
  const found = await list;
  const [one] = found;
  if (found.length !== 1 || one === undefined) throw new Error(`${found.length} ${what} instead of one`);
  return one;
}

/** Ada presses a button of ours. */
export async function press(
  world: World,
  terminal: Terminal,
  message: SlackMessage,
  button: { id: string; label: string },
  user: 'ada' | 'bob' = 'ada',
): Promise<void> {
  terminal.show({
    id: `press:${message.ts}:${button.id}:${user}`,
    thread: `Slack #dev, thread ${message.thread}`,
    author: user === 'ada' ? 'Ada' : 'Bob',
    byBot: false,
    text: `presses [${button.label}]`,
  });
  await world.slack.press({ ts: message.ts, user, actionId: button.id });
}

/** The last message of a turn that changed something. */
export const isEnd = (text: string): boolean =>
  /commit/i.test(text) && /tests?/i.test(text) && !/\[Stop\]/.test(text);
