import { z } from 'zod';
import { failure, mendable, success } from './result.ts';
import { decodeText, linesOf, notText, numbered } from './text-file.ts';
import { defineTool } from './tool.ts';
import { oneLine } from './truncate.ts';

const DEFAULT_LINES = 1000;
const MAX_LINE = 1000;
/** Of one answer, about 10,000 tokens. */
const MAX_CHARACTERS = 40_000;

export const readFile = defineTool({
  name: 'read_file',
  description:
    'Reads a text file of the workspace. Each line comes with its number and a tab before it, which are not part of the file. Long files come in parts: use offset and limit.',
  schema: z.strictObject({
    path: z.string().min(1).describe('Relative to the workspace.'),
    offset: z.number().int().min(1).max(10_000_000).default(1).describe('First line to read, from 1.'),
    limit: z.number().int().min(1).max(5000).default(DEFAULT_LINES).describe('Lines to read at the most.'),
  }),
  effect: 'read',
  title: ({ path }) => `Reading ${oneLine(path, 60)}`,
  execute: ({ path, offset, limit }, { sandbox }) =>
    mendable(`Could not read ${oneLine(path, 60)}`, async () => {
      const content = await sandbox.files.read(path);
      const text = decodeText(content);
      const shown = oneLine(path, 60);
      if (text === undefined)
        return failure(notText(path, content.length), `Could not read ${shown}: binary`);
      const lines = linesOf(text);
      if (lines.length === 0) return success('(The file is empty.)', `Read ${shown}, empty`);
      if (offset > lines.length) {
        return failure(
          `${path} has only ${lines.length} lines.`,
          `Could not read ${shown} from line ${offset}`,
        );
      }
      const part = lines.slice(0, lastLine(lines, offset, limit));
      const to = part.length;
      const whole = offset === 1 && to === lines.length;
      const rest = to < lines.length ? ` Read on with offset ${to + 1}.` : '';
      const notice = whole ? '' : `\n[Lines ${offset} to ${to} of ${lines.length}.${rest}]`;
      return success(
        `${numbered(part.map(shorten), offset, to)}${notice}`,
        whole ? `Read ${shown}` : `Read ${shown}, lines ${offset}–${to}`,
      );
    }),
});

/** As many lines as were asked for and fit, but one at least. */
function lastLine(lines: readonly string[], offset: number, limit: number): number {
  const end = Math.min(lines.length, offset - 1 + limit);
  let room = MAX_CHARACTERS;
  for (let line = offset; line <= end; line += 1) {
    room -= Math.min(lines[line - 1]?.length ?? 0, MAX_LINE) + 8;
    if (room < 0 && line > offset) return line - 1;
  }
  return end;
}

const shorten = (line: string): string =>
  line.length > MAX_LINE
    ? `${line.slice(0, MAX_LINE)} [… ${line.length - MAX_LINE} characters of this line cut]`
    : line;
