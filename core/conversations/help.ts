import type { Card } from './card.ts';
import { VERBS } from './command.ts';

/** What Comio understands, from the grammar's own table. */
export function helpCard(): Card {
  const lines = Object.entries(VERBS).map(
    ([verb, { does, example }]) => `- **${verb}**: ${does}${shown(verb, example)}`,
  );
  return {
    title: 'What I can do',
    tone: 'neutral',
    blocks: [
      { type: 'markdown', text: lines.join('\n') },
      {
        type: 'markdown',
        text: 'Mention me with one of these, or with what you want in your own words. While I work in a thread, plain text there is enough: it is taken in at the next step.',
      },
    ],
    actions: [],
  };
}

const shown = (verb: string, example: string): string => (example === verb ? '' : `. \`${example}\``);
