import { z } from 'zod';
import { type Sandbox, SandboxError } from '#sandbox/sandbox.ts';
import { refusedByPolicy } from './denied.ts';
import { failure, mendable, success } from './result.ts';
import { linesOf } from './text-file.ts';
import { defineTool } from './tool.ts';
import { oneLine } from './truncate.ts';

export const createFile = defineTool({
  name: 'create_file',
  description:
    'Creates a text file, with the directories it needs. Never overwrites: change a file with edit_file.',
  schema: z.strictObject({
    path: z.string().min(1).describe('Relative to the workspace.'),
    content: z.string().describe('The whole file.'),
  }),
  effect: 'write',
  title: ({ path }) => `Creating ${oneLine(path, 60)}`,
  execute: ({ path, content }, { sandbox, intent, policy }) => {
    const failed = `Could not create ${oneLine(path, 60)}`;
    return mendable(failed, async () => {
      const refused = await refusedByPolicy({ policy, sandbox }, path);
      if (refused) return refused;
      const existing = await contentOf(sandbox, path);
      if (existing !== undefined && !existing.equals(Buffer.from(content))) {
        return failure(
          `${path} exists already, with other content (${existing.length} bytes). Read it, then use edit_file; or delete_file it first.`,
          failed,
        );
      }
      if (existing !== undefined && intent.previous === undefined) {
        return success(
          `${path} exists already, with this content.`,
          `${oneLine(path, 60)} was there already`,
        );
      }
      if (existing === undefined) {
        await intent.record({ creating: path });
        await sandbox.files.write(path, content);
      }
      const lines = linesOf(content).length;
      return success(
        `${path} is created (${lines} ${lines === 1 ? 'line' : 'lines'}).`,
        `Created ${oneLine(path, 60)}`,
        [{ type: 'file', path, change: 'created' }],
      );
    });
  },
});

/** undefined when there is no such file. */
export async function contentOf(sandbox: Sandbox, path: string): Promise<Buffer | undefined> {
  try {
    return await sandbox.files.read(path);
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'not_found') return undefined;
    throw error;
  }
}
