import { createHash } from 'node:crypto';

/** The text of a file; undefined when it is not UTF-8 text (binary, or in another encoding). A BOM is kept. */
export function decodeText(content: Buffer): string | undefined {
  if (content.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

export const sha256 = (content: string | Buffer): string =>
  createHash('sha256').update(content).digest('hex');

export const notText = (path: string, bytes: number): string =>
  `${path} is a binary file (${bytes} bytes, not UTF-8 text). Use run_command with a program that knows its format.`;

/** Without the newline that ends the last line. */
export function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Lines `from`..`to` (from 1, inclusive) as the tools show them: number, tab, text. */
export const numbered = (lines: readonly string[], from: number, to: number): string =>
  lines
    .slice(from - 1, to)
    .map((line, index) => `${from + index}\t${line}`)
    .join('\n');
