import { z } from 'zod';
import { refusedByPolicy } from './denied.ts';
import { nearMiss } from './near-miss.ts';
import { failure, mendable, success } from './result.ts';
import { decodeText, linesOf, notText, numbered, sha256 } from './text-file.ts';
import { defineTool, type ToolResult } from './tool.ts';
import { oneLine, truncate } from './truncate.ts';

const schema = z.strictObject({
  path: z.string().min(1).describe('Relative to the workspace.'),
  old_string: z
    .string()
    .min(1)
    .describe(
      'The text to replace, exactly as in the file, without line numbers; with enough around it to be unique.',
    ),
  new_string: z.string().describe('What takes its place.'),
  replace_all: z.boolean().default(false).describe('Replace every occurrence instead of the only one.'),
});

/** Of the file, recorded before it is written: after a crash they tell whether it was. */
const note = z.object({ before: z.string(), after: z.string(), line: z.number() });

export const editFile = defineTool({
  name: 'edit_file',
  description:
    'Replaces a text in a file. Fails when old_string does not occur, or occurs more than once without replace_all. Answers with the lines as they are now.',
  schema,
  effect: 'write',
  title: ({ path }) => `Editing ${oneLine(path, 60)}`,
  execute: (input, { sandbox, intent, policy }) => {
    const { path } = input;
    const failed = `Could not edit ${oneLine(path, 60)}`;
    return mendable(failed, async () => {
      const refused = await refusedByPolicy({ policy, sandbox }, path);
      if (refused) return refused;
      const content = await sandbox.files.read(path);
      const previous = note.safeParse(intent.previous).data;
      const now = sha256(content);
      if (previous?.after === now) return edited(input, content.toString(), previous.line);
      if (previous !== undefined && previous.before !== now) {
        return failure(
          `${path} was changed by something else while this edit was being made; it was not applied. Read the file again.`,
          failed,
        );
      }
      const text = decodeText(content);
      if (text === undefined) return failure(notText(path, content.length), failed);
      const replaced = replace(text, input);
      if ('problem' in replaced) return failure(replaced.problem, failed);
      const { line } = replaced;
      if (previous === undefined) await intent.record({ before: now, after: sha256(replaced.text), line });
      await sandbox.files.write(path, replaced.text);
      return edited(input, replaced.text, line);
    });
  },
});

type Input = z.output<typeof schema>;

/** `line`: of the first replacement, from 1. */
type Replaced = { text: string; line: number } | { problem: string };

function replace(text: string, { path, old_string, new_string, replace_all }: Input): Replaced {
  if (old_string === new_string) return { problem: 'old_string and new_string are the same: nothing to do.' };
  const [from, to] = inLineEndingsOf(text, old_string, new_string);
  const parts = text.split(from);
  const count = parts.length - 1;
  if (count === 0)
    return { problem: `old_string does not occur in ${path}. ${nearMiss(text, old_string)}`.trim() };
  if (count > 1 && !replace_all) {
    const lines = parts.slice(0, -1).map((_, index) => lineAt(parts.slice(0, index + 1).join(from)));
    const shown = lines.slice(0, 10).join(', ');
    return {
      problem: `old_string occurs ${count} times in ${path} (lines ${shown}${count > 10 ? ', …' : ''}). Add lines around it until it is unique, or set replace_all.`,
    };
  }
  return { text: parts.join(to), line: lineAt(parts[0] ?? '') };
}

/** Models write `\n`; a file with `\r\n` keeps it. */
const inLineEndingsOf = (text: string, from: string, to: string): [string, string] =>
  text.includes(from) || !text.includes('\r\n')
    ? [from, to]
    : [from.replace(/\r?\n/g, '\r\n'), to.replace(/\r?\n/g, '\r\n')];

const lineAt = (before: string): number => before.split('\n').length;

const CONTEXT = 3;
const MAX_SHOWN = 4000;

/** The new text where it is now, with the lines around it. */
function edited({ path, new_string }: Input, text: string, line: number): ToolResult {
  const to = line + linesOf(new_string).length - 1 + CONTEXT;
  const around = numbered(linesOf(text), Math.max(1, line - CONTEXT), to);
  return success(truncate(`${path} is edited:\n${around}`, MAX_SHOWN), `Edited ${oneLine(path, 60)}`, [
    { type: 'file', path, change: 'edited' },
  ]);
}
