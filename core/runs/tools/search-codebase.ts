import { z } from 'zod';
import { mendable, success } from './result.ts';
import { defineTool } from './tool.ts';
import { oneLine, truncate } from './truncate.ts';

const MAX_MATCHES = 200;
const MAX_CHARACTERS = 20_000;

export const searchCodebase = defineTool({
  name: 'search_codebase',
  description:
    'Searches the text files of the workspace (not .git, nor what .gitignore names) line by line for a regular expression. Answers with path:line: text.',
  schema: z.strictObject({
    pattern: z.string().min(1).describe('Regular expression in the syntax of ripgrep.'),
    path: z.string().min(1).optional().describe('Directory or file to search in. Default: everything.'),
    glob: z.string().min(1).optional().describe('Only files of this shape, for instance *.ts.'),
    ignore_case: z.boolean().default(false),
  }),
  effect: 'read',
  title: ({ pattern }) => `Searching for ${oneLine(pattern, 50)}`,
  execute: ({ pattern, path, glob, ignore_case }, { sandbox }) =>
    mendable(`Could not search for ${oneLine(pattern, 50)}`, async () => {
      const { matches, more } = await sandbox.files.search({
        pattern,
        path,
        glob,
        ignoreCase: ignore_case,
        maxMatches: MAX_MATCHES,
      });
      const found = `${matches.length}${more ? '+' : ''} ${matches.length === 1 && !more ? 'match' : 'matches'}`;
      const summary = `Searched for ${oneLine(pattern, 40)}, ${matches.length === 0 ? 'nothing found' : found}`;
      if (matches.length === 0) return success('Nothing matches.', summary);
      const lines = matches.map((match) => `${match.path}:${match.line}: ${match.text}`).join('\n');
      const notice = more
        ? `\n[Only the first ${MAX_MATCHES} matches. Narrow the search with path, glob or a longer pattern.]`
        : '';
      return success(truncate(lines, MAX_CHARACTERS) + notice, summary);
    }),
});
