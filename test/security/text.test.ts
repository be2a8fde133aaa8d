import { describe, expect, it } from 'vitest';
import type { Card } from '#core/conversations/card.ts';
import { testComio } from '../support/comio.ts';
import type { Shown } from '../support/memory-surface.ts';

const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });
const finals = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('final:'));
const textOf = (card: Card): string => `${card.title}\n${JSON.stringify(card.blocks)}\n${card.footer ?? ''}`;

const script = {
  scenarios: [
    {
      name: 'binary',
      when: 'binary',
      steps: [
        call('run_command', { command: "printf 'a\\000b\\377c\\n'" }),
        call('run_command', { command: 'printf \u0000 x' }),
        call('create_file', { path: 'nul\u0000.txt', content: 'half a pair \ud83d\n' }),
        call('create_file', { path: 'kept.txt', content: 'kept\n' }),
      ],
      final: 'All \u0000 of it \udc00 is done.',
    },
  ],
};

/** PostgreSQL stores neither NUL nor halves of surrogate pairs. */
describe.each(['pglite', 'postgres'] as const)('text no database takes, on %s', (database) => {
  it('is answered when a person sends it', async () => {
    await using world = await testComio({ script, database });
    await world.chat.say('ask a\u0000b \ud800 c');
    const said = await world.chat.until((shown) => shown[0]);
    expect(textOf(said.card)).toContain('Which project');
  });

  it('ends no run when a program or the model says it', async () => {
    await using world = await testComio({ script, database });
    await world.chat.say(`new binary things ${'\u{1f600}'.repeat(400)}`);
    const final = await world.chat.until((shown) => finals(shown)[0]);
    expect(textOf(final.card)).toContain('kept.txt');
    expect(textOf(final.card)).toContain('is done');
    expect(textOf(final.card)).not.toContain('broke');
  });
});
