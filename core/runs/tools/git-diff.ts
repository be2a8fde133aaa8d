import { z } from 'zod';
import { diff, diffStat } from '#sandbox/workspace-git.ts';
import { mendable, success } from './result.ts';
import { defineTool } from './tool.ts';
import { truncate } from './truncate.ts';

const MAX_CHARACTERS = 20_000;

export const gitDiff = defineTool({
  name: 'git_diff',
  description:
    'Shows what changed since the last commit (or another one), new files included, as a unified diff after one line of counts per file.',
  schema: z.strictObject({
    paths: z.array(z.string().min(1)).max(100).optional().describe('Only these files or directories.'),
    from: z.string().min(1).optional().describe('The commit, branch or tag to compare with. Default: HEAD.'),
  }),
  effect: 'read',
  title: () => 'Looking at the diff',
  execute: ({ paths, from }, { sandbox }) =>
    mendable('Could not make the diff', async () => {
      const { files, insertions, deletions } = await diffStat(sandbox, { paths, from });
      const text = await diff(sandbox, { paths, from });
      const summary = `Looked at the diff, ${files.length === 0 ? 'no change' : `+${insertions} −${deletions}`}`;
      if (files.length === 0) return success('Nothing changed.', summary);
      const stat = files.map((file) => `${file.path} | +${file.insertions} −${file.deletions}`).join('\n');
      return success(`${truncate(stat, 4000)}\n\n${truncate(text, MAX_CHARACTERS)}`, summary);
    }),
});
