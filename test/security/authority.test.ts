import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Forge } from '#adapters/forge/forge.ts';
import { createGitHubForge } from '#adapters/forge/github.ts';
import type { Inbound } from '#core/conversations/surface.ts';
import { createGitHubPeer, type GitHubPeer } from '../peers/github.ts';
import { type TestComio, testComio } from '../support/comio.ts';
import type { Shown } from '../support/memory-surface.ts';
import { silentLog } from '../support/silent-log.ts';

const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });
const change = (name: string, when: string) => ({
  name,
  when,
  steps: [
    call('create_file', { path: `${name}.txt`, content: `${name}\n` }),
    call('git_commit', { message: `Add ${name}` }),
    call('publish', { title: `Add ${name}`, body: 'Because.' }),
  ],
});
const script = {
  scenarios: [change('first', 'first'), change('second', 'second'), change('third', 'third')],
};

const textOf = ({ card }: Shown) => `${card.title}\n${JSON.stringify(card.blocks)}`;
const finals = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('final:'));
const replies = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('reply:'));

let github: GitHubPeer;
let forge: Forge;
beforeAll(async () => {
  github = await createGitHubPeer();
  forge = createGitHubForge({ ...github.env, GITHUB_TOKEN: undefined }, silentLog);
});
afterAll(() => github[Symbol.asyncDispose]());

let count = 0;
/** Said by an operator of `repository` in its issue or pull request. */
const sayIn = async (world: TestComio, repository: Inbound['repository'], text: string): Promise<void> => {
  count += 1;
  await world.comio.receive({
    id: `elsewhere:${count}`,
    conversation: { surface: 'slack', key: `issue-${count}`, at: { thread: `issue-${count}` } },
    author: { id: 'ada', name: 'ada', claims: [] },
    kind: 'message',
    text,
    addressed: true,
    sentAt: new Date().toISOString(),
    repository,
  });
};

describe('what a role in one repository is worth', () => {
  it('is nothing in another one', async () => {
    const secret = { owner: github.org, name: 'secret', private: true };
    await github.createRepository({ ...secret, files: { 'plans.txt': 'the plans\n' } });
    await github.createRepository({ owner: github.org, name: 'open', files: { 'README.md': 'open\n' } });
    await using world = await testComio({ script, forge });
    await sayIn(world, { owner: github.org, name: 'open', issue: 1 }, `import ${github.org}/secret`);
    const [reply] = await world.chat.until((shown) => replies(shown)[0] && replies(shown));
    expect(reply && textOf(reply)).toContain(`Here I only work on ${github.org}/open`);
    expect(world.chat.shown.some(({ key }) => key.startsWith('turn:'))).toBe(false);
    await sayIn(world, { owner: github.org, name: 'open', issue: 1 }, `import ${github.org}/open`);
    expect(textOf(await world.chat.until((shown) => finals(shown)[0]))).toContain('Imported');
  });
});

describe('the default branch', () => {
  const pulls = (changes: object): Forge => ({
    ...forge,
    pullRequest: async (_, number) => ({
      number,
      url: 'http://forge.invalid/1',
      headBranch: 'main',
      fromFork: false,
      baseBranch: 'release',
      headSha: '0'.repeat(40),
      state: 'open',
      title: 'A pull request',
      ...changes,
    }),
  });

  it.each([
    [
      'from a fork whose branch is called like it',
      { fromFork: true, baseBranch: 'main' },
      'comes from a fork',
    ],
    ['of the branch itself', {}, 'to which I do not push'],
  ])('is not pushed to for a pull request %s', async (name, changes, refusal) => {
    const repository = { owner: github.org, name: `guarded-${name.length}` };
    const { sha } = await github.createRepository({ ...repository, files: { 'a.txt': 'a\n' } });
    await using world = await testComio({ script, forge: pulls(changes) });
    await sayIn(world, { ...repository, pullRequest: 7 }, 'edit first');
    expect(textOf(await world.chat.until((shown) => shown[0]))).toContain(refusal);
    const [main, ...more] = await github.branches({ owner: repository.owner, repo: repository.name });
    expect(more).toEqual([]);
    expect(main?.sha).toBe(sha);
  });
});

describe('undo', () => {
  it('by a button takes back what the button showed, once', async () => {
    await using world = await testComio({ script, forge: undefined });
    const { chat } = world;
    await chat.say('new first');
    await chat.until((shown) => finals(shown)[0]);
    await chat.say('edit second');
    await chat.until((shown) => finals(shown)[1]);
    await chat.say('undo');
    const preview = await chat.until((shown) => finals(shown)[2]);
    await Promise.all([chat.press(preview.card, 'undo-confirm'), chat.press(preview.card, 'undo-confirm')]);
    await chat.until((shown) => finals(shown)[4]);
    const titles = finals(chat.shown).map(({ card }) => card.title);
    expect(titles.filter((title) => title.startsWith('Undone'))).toEqual(['Undone: second']);
    expect(titles[4]).toBe('Not the last turn any more');
  });

  it('confirmed after more was done is asked about again', async () => {
    await using world = await testComio({ script, forge: undefined });
    const { chat } = world;
    await chat.say('new first');
    await chat.until((shown) => finals(shown)[0]);
    await chat.say('undo');
    const preview = await chat.until((shown) => finals(shown)[1]);
    await chat.say('edit second');
    await chat.until((shown) => finals(shown)[2]);
    await chat.press(preview.card, 'undo-confirm');
    expect((await chat.until((shown) => finals(shown)[3])).card.title).toBe('Not the last turn any more');
    await chat.say('undo confirm');
    expect((await chat.until((shown) => finals(shown)[4])).card.title).toBe('Undo: second');
    await chat.say('undo confirm');
    expect((await chat.until((shown) => finals(shown)[5])).card.title).toBe('Undone: second');
  });
});

describe('stop', () => {
  it('by the button of a turn that has ended stops no other one', async () => {
    const slow = {
      name: 'slow',
      when: 'slowly',
      steps: [
        call('run_command', { command: 'sleep 3' }),
        call('create_file', { path: 'b.txt', content: 'b\n' }),
      ],
    };
    await using world = await testComio({ script: { scenarios: [...script.scenarios, slow] } });
    const { chat } = world;
    await chat.say('new first');
    const live = await chat.until((shown) =>
      shown.find(({ key, card }) => key.startsWith('turn:') && card.actions.length > 0),
    );
    const old = live.card;
    await chat.until((shown) => finals(shown)[0]);
    await chat.say('edit slowly');
    await chat.until((shown) => shown.find(({ card }) => JSON.stringify(card).includes('sleep 3')));
    await chat.press(old, 'stop');
    const final = await chat.until((shown) => finals(shown)[1]);
    expect(final.card.title).not.toMatch(/stopped/i);
  });
});
