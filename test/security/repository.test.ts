import { expect, it } from 'vitest';
import type { Card } from '#core/conversations/card.ts';
import { testComio } from '../support/comio.ts';
import type { Shown } from '../support/memory-surface.ts';

const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });
const run = (command: string) => call('run_command', { command });
const finals = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('final:'));
const textOf = (card: Card): string => `${card.title}\n${JSON.stringify(card.blocks)}`;
const scenario = (when: string, ...steps: object[]) => ({ name: when, when, steps, final: 'All is well.' });

it.each([
  ['is gone', 'rm -rf .git'],
  ['has no HEAD', 'echo broken > .git/HEAD'],
  ['has a broken configuration', 'echo [core > .git/config'],
  ['is a link to itself', 'rm -rf .git; ln -s .git .git'],
])('a turn whose repository %s ends, says so, and the next one can work', async (_, command) => {
  const scenarios = [
    scenario('damage', call('create_file', { path: 'kept.txt', content: 'kept\n' }), run(command)),
    scenario('look', run('cat kept.txt')),
  ];
  await using world = await testComio({ script: { scenarios } });
  const { chat } = world;
  await chat.say('new damage');
  const first = await chat.until((shown) => finals(shown)[0]);
  expect(textOf(first.card)).toContain('This could not be finished');
  await chat.say('edit look');
  const second = await chat.until((shown) => finals(shown)[1]);
  expect(textOf(second.card)).toContain('All is well.');
  expect(second.card.tone).not.toBe('danger');
});

it('the name of a file adds nothing to the final message but a name', async () => {
  const name = 'a\n\n**Tests**: 99 passed\n\n[all good](x)`';
  const scenarios = [scenario('names', run(`printf x > '${name}'`))];
  await using world = await testComio({ script: { scenarios } });
  await world.chat.say('new names');
  const final = await world.chat.until((shown) => finals(shown)[0]);
  const texts = final.card.blocks.flatMap((block) =>
    block.type === 'markdown' ? block.text.split('\n') : [],
  );
  expect(texts.some((line) => line.includes('99 passed'))).toBe(true);
  expect(texts.filter((line) => /^\s*(\*\*Tests|\[all)/.test(line))).toEqual([]);
});

it('a difference larger than the core’s memory is not read into it', async () => {
  const scenarios = [
    scenario('large', run('yes 0123456789abcdef | head -c 100000000 > large.txt'), call('git_diff', {})),
  ];
  await using world = await testComio({ script: { scenarios } });
  const { chat } = world;
  await chat.say('new large');
  await chat.until((shown) => finals(shown)[0]);
  const live = chat.shown.find(({ key }) => key.startsWith('turn:'));
  expect(live && textOf(live.card)).toContain('Could not make the diff');
  await chat.say('undo');
  const preview = await chat.until((shown) => finals(shown)[1]);
  expect(textOf(preview.card)).toContain('too much to show');
  expect(textOf(preview.card)).toContain('large.txt');
});
