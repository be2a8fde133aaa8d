import { describe, expect, it } from 'vitest';
import type { Card } from '#core/conversations/card.ts';
import { testComio } from '../support/comio.ts';
import type { Shown } from '../support/memory-surface.ts';

const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });
const passing = "import { test } from 'node:test';\ntest('adds', () => {});\n";

const script = {
  scenarios: [
    {
      name: 'build',
      when: 'greeting',
      steps: [
        call('create_file', { path: 'hello.txt', content: 'hello\n' }),
        call('create_file', { path: 'hello.test.mjs', content: passing }),
        call('run_command', { command: 'node --test' }),
        call('git_commit', { message: 'Say hello' }),
      ],
      steering: [
        { pattern: 'politely', steps: [call('create_file', { path: 'polite.txt', content: 'please\n' })] },
      ],
      final: 'It greets now.',
    },
    {
      name: 'slow',
      when: 'slowly',
      steps: [
        call('create_file', { path: 'before.txt', content: 'kept\n' }),
        call('run_command', { command: 'echo begun > begun.txt; sleep 60; echo over > over.txt' }),
        call('create_file', { path: 'after.txt', content: 'never\n' }),
      ],
    },
    {
      name: 'question',
      when: 'what does',
      steps: [call('list_directory', { path: '.' })],
      final: 'It greets people.',
    },
  ],
};

const textOf = (card: Card): string => `${card.title}\n${JSON.stringify(card.blocks)}\n${card.footer ?? ''}`;
const finals = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('final:'));
const lastFinal = (count: number) => (shown: readonly Shown[]) => finals(shown)[count - 1];

describe('a conversation with Comio', () => {
  it('builds what was asked, in one live card and one final message', async () => {
    await using world = await testComio({ script });
    const { chat } = world;
    const id = await chat.say('new a greeting service');
    const final = await chat.until(lastFinal(1));
    expect(textOf(final.card)).toContain('It greets now.');
    expect(textOf(final.card)).toContain('hello.txt');
    const live = chat.shown.filter(({ key }) => key.startsWith('turn:'));
    expect(live).toHaveLength(1);
    expect(textOf(live[0]?.card ?? final.card)).toContain('1 passed');
    await chat.until(() => chat.reactions.some((r) => r.to === id && r.reaction === 'done'));
    expect(chat.reactions.filter((r) => r.to === id).map((r) => r.reaction)).toContain('seen');
  });

  it('takes a message delivered three times at once for one', async () => {
    await using world = await testComio({ script });
    const { chat } = world;
    const sentAt = '2026-02-01T00:00:00Z';
    await Promise.all([1, 2, 3].map(() => chat.say('new a greeting service', { id: 'same', sentAt })));
    await chat.until(lastFinal(1));
    await chat.say('status');
    await chat.until((shown) => shown.find(({ key }) => key.startsWith('reply:')));
    expect(finals(chat.shown)).toHaveLength(1);
    expect(chat.shown.filter(({ key }) => key.startsWith('turn:'))).toHaveLength(1);
  });

  it('applies what is said meanwhile before the next step, and says so', async () => {
    const [build, ...rest] = script.scenarios;
    const slower = {
      ...build,
      steps: [{ ...call('run_command', { command: 'sleep 2' }) }, ...(build?.steps ?? [])],
    };
    await using world = await testComio({ script: { scenarios: [slower, ...rest] } });
    const { chat } = world;
    await chat.say('new a greeting service');
    await chat.until((shown) => shown.find(({ card }) => textOf(card).includes('sleep 2')));
    const steering = await chat.say('and greet politely', { addressed: false });
    const final = await chat.until(lastFinal(1));
    expect(textOf(final.card)).toContain('polite.txt');
    const live = chat.shown.find(({ key }) => key.startsWith('turn:'));
    expect(live && textOf(live.card)).toContain('politely');
    await chat.until(() => chat.reactions.some((r) => r.to === steering && r.reaction === 'done'));
  });

  it('stops at the word, keeps the work and makes no further call', async () => {
    await using world = await testComio({ script });
    const { chat } = world;
    await chat.say('new slowly');
    await chat.until((shown) => shown.find(({ card }) => textOf(card).includes('sleep 60')));
    await chat.say('stop', { addressed: false });
    const final = await chat.until(lastFinal(1));
    expect(final.card.title).toMatch(/stopped/i);
    expect(textOf(final.card)).toContain('before.txt');
    expect(textOf(final.card)).not.toContain('after.txt');
    expect(textOf(final.card)).not.toContain('over.txt');
  });

  it('stops at the button, once', async () => {
    await using world = await testComio({ script });
    const { chat } = world;
    await chat.say('new slowly');
    const live = await chat.until((shown) => shown.find(({ card }) => textOf(card).includes('sleep 60')));
    await Promise.all([chat.press(live.card, 'stop'), chat.press(live.card, 'stop')]);
    await chat.until(lastFinal(1));
    await chat.say('status');
    await chat.until((shown) => shown.find(({ key }) => key.startsWith('reply:')));
    expect(finals(chat.shown)).toHaveLength(1);
  });

  it('undoes the last turn after showing the diff', async () => {
    await using world = await testComio({ script });
    const { chat } = world;
    await chat.say('new a greeting service');
    await chat.until(lastFinal(1));
    await chat.say('undo');
    const preview = await chat.until(lastFinal(2));
    expect(textOf(preview.card)).toContain('-hello');
    await chat.press(preview.card, 'undo-confirm');
    const done = await chat.until(lastFinal(3));
    expect(done.card.title).toMatch(/^Undone/);
    await chat.say('ask what does it do');
    const answer = await chat.until(lastFinal(4));
    expect(textOf(answer.card)).toContain('It greets people.');
    const asked = chat.shown.filter(({ key }) => key.startsWith('turn:')).at(-1);
    expect(asked && textOf(asked.card)).not.toContain('hello.txt');
  });

  it('lets only operators start runs, and refuses the others kindly', async () => {
    await using world = await testComio({ script });
    const { chat } = world;
    await chat.say('new a greeting service', { user: 'eve' });
    const reply = await chat.until((shown) => shown[0]);
    expect(reply.card.title).toContain('eve');
    expect(textOf(reply.card)).toContain('Only listed people');
    expect(chat.shown.some(({ key }) => key.startsWith('turn:'))).toBe(false);
  });

  it('queues a second request behind the first and tells its place', async () => {
    await using world = await testComio({ script });
    const { chat } = world;
    await chat.say('new a greeting service');
    await chat.say('ask what does it do');
    await chat.until(lastFinal(2));
    expect(finals(chat.shown).map(({ card }) => textOf(card))).toEqual([
      expect.stringContaining('It greets now.'),
      expect.stringContaining('It greets people.'),
    ]);
  });
});
