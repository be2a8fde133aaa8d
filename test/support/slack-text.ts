/** Everything readable in a message's blocks, one line each; buttons as `[Label]`. */
export function textOfBlocks(blocks: readonly unknown[]): string {
  return blocks.flatMap(linesOf).join('\n');
}

type Json = Record<string, unknown>;

function linesOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(linesOf);
  const block = value as Json;
  if (block.type === 'actions') {
    const labels = (block.elements as Json[]).map((button) => `[${linesOf(button.text).join(' ')}]`);
    return [labels.join(' ')];
  }
  if (typeof block.text === 'string') return block.text.split('\n').map(plain);
  return Object.values(block).flatMap(linesOf);
}

/** Slack's escapes and links, undone. */
const plain = (text: string): string =>
  text
    .replace(/<([^|>]+)\|([^>]+)>/g, '$2 ($1)')
    .replace(/<(https?:[^>]+)>/g, '$1')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replace(/\*([^*\n]+)\*/g, '$1');
