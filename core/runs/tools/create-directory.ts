import { z } from 'zod';
import { refusedByPolicy } from './denied.ts';
import { mendable, success } from './result.ts';
import { defineTool } from './tool.ts';
import { oneLine } from './truncate.ts';

export const createDirectory = defineTool({
  name: 'create_directory',
  description:
    'Creates a directory and those above it. create_file does so too, and git keeps no empty directory, so this is seldom needed.',
  schema: z.strictObject({ path: z.string().min(1).describe('Relative to the workspace.') }),
  effect: 'write',
  title: ({ path }) => `Creating directory ${oneLine(path, 50)}`,
  execute: ({ path }, { sandbox, policy }) =>
    mendable(`Could not create directory ${oneLine(path, 50)}`, async () => {
      const refused = await refusedByPolicy({ policy, sandbox }, path);
      if (refused) return refused;
      await sandbox.files.makeDirectory(path);
      return success(`The directory ${path} is there.`, `Created directory ${oneLine(path, 50)}`);
    }),
});
