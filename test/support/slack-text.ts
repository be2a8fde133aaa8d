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
  if (typeof block.text === 'string') return unescaped(block.text);
  return Object.values(block).flatMap(linesOf);
}

/** Slack's escapes and links undone, emphasis too; code blocks as they are. */
function unescaped(text: string): string[] {
  let code = false;
  return text.split('\n').map((line) => {
    if (line.startsWith('```')) code = !code;
    const read = line
      .replace(/<([^|>]+)\|([^>]+)>/g, '$2 ($1)')
      .replace(/<(https?:[^>]+)>/g, '$1')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&');
    return code ? read : read.replace(/(?<![\w*])\*([^*\n]+)\*(?![\w*])/g, '$1');
  });
}
