import { z } from 'zod';
import { type StatusFile, status } from '#sandbox/workspace-git.ts';
import { mendable, success } from './result.ts';
import { defineTool } from './tool.ts';
import { truncate } from './truncate.ts';

export const gitStatus = defineTool({
  name: 'git_status',
  description: 'Tells the branch, the last commit and which files are not committed (as git status --short).',
  schema: z.strictObject({}),
  effect: 'read',
  title: () => 'Looking at git status',
  execute: (_input, { sandbox }) =>
    mendable('Could not read git status', async () => {
      const { branch, head, files } = await status(sandbox);
      const place = `${branch === undefined ? 'No branch (detached)' : `On branch ${branch}`}, ${head === undefined ? 'no commit yet' : `at ${head.slice(0, 12)}`}.`;
      const changes = files.length === 0 ? 'Nothing to commit.' : files.map(shown).join('\n');
      const count = `${files.length} changed ${files.length === 1 ? 'file' : 'files'}`;
      return success(
        truncate(`${place}\n${changes}`, 10_000),
        files.length === 0 ? 'Looked at git status, nothing to commit' : `Looked at git status, ${count}`,
      );
    }),
});

const shown = ({ index, worktree, path, from }: StatusFile): string =>
  `${`${index}${worktree}`.replaceAll('.', ' ')} ${from === undefined ? '' : `${from} -> `}${path}`;
