import type { Card } from './card.ts';
import { type CommandVerb, VERBS } from './command.ts';

/** What Comio understands, from the grammar's own table: the verbs that have a handler, and `help`. */
export function helpCard(known: ReadonlySet<CommandVerb>): Card {
  const entries = Object.entries(VERBS).filter(([verb]) => verb === 'help' || known.has(verb as CommandVerb));
  const lines = entries.map(([verb, { does, example }]) => `- **${verb}**: ${does}${shown(verb, example)}`);
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
