import { posix } from 'node:path';
import { z } from 'zod';
import { refusedByPolicy } from './denied.ts';
import { failure, mendable, success } from './result.ts';
import { defineTool } from './tool.ts';
import { oneLine } from './truncate.ts';

const MAX_SIBLINGS = 100_000;

export const deleteFile = defineTool({
  name: 'delete_file',
  description:
    'Deletes one file, or a symbolic link (not what it points to). Directories are left to run_command.',
  schema: z.strictObject({ path: z.string().min(1).describe('Relative to the workspace.') }),
  effect: 'write',
  title: ({ path }) => `Deleting ${oneLine(path, 60)}`,
  execute: ({ path }, { sandbox, intent, policy }) => {
    const failed = `Could not delete ${oneLine(path, 60)}`;
    return mendable(failed, async () => {
      const refused = await refusedByPolicy({ policy, sandbox }, path);
      if (refused) return refused;
      const { dir, base } = posix.parse(posix.normalize(path));
      const { entries } = await sandbox.files.list(dir || '.', { depth: 1, maxEntries: MAX_SIBLINGS });
      const entry = entries.find((candidate) => posix.basename(candidate.path) === base);
      if (entry?.type === 'directory') {
        return failure(`${path} is a directory. If all of it has to go, use run_command with rm -r.`, failed);
      }
      if (entry === undefined && intent.previous === undefined) {
        return failure(`There is no file ${path}. Look with list_directory.`, failed);
      }
      if (entry !== undefined) {
        if (intent.previous === undefined) await intent.record({ deleting: path });
        await sandbox.files.remove(path);
      }
      return success(`${path} is deleted.`, `Deleted ${oneLine(path, 60)}`, [
        { type: 'file', path, change: 'deleted' },
      ]);
    });
  },
});
