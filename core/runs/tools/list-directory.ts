import { z } from 'zod';
import type { FileEntry } from '#sandbox/sandbox.ts';
import { mendable, success } from './result.ts';
import { defineTool } from './tool.ts';
import { oneLine } from './truncate.ts';

const MAX_ENTRIES = 400;

export const listDirectory = defineTool({
  name: 'list_directory',
  description:
    'Lists a directory of the workspace: directories end in /, links in @, files have their size in bytes. .git is left out.',
  schema: z.strictObject({
    path: z.string().min(1).default('.').describe('Relative to the workspace.'),
    depth: z.number().int().min(1).max(6).default(1).describe('How many levels to go down.'),
  }),
  effect: 'read',
  title: ({ path }) => `Listing ${nameOf(path)}`,
  execute: ({ path, depth }, { sandbox }) =>
    mendable(`Could not list ${nameOf(path)}`, async () => {
      const { entries, more } = await sandbox.files.list(path, { depth, maxEntries: MAX_ENTRIES });
      const notice = more
        ? `\n[Only the first ${MAX_ENTRIES} entries. List a directory further down, or use a smaller depth.]`
        : '';
      return success(
        entries.length === 0 ? '(The directory is empty.)' : entries.map(shown).join('\n') + notice,
        `Listed ${nameOf(path)}`,
      );
    }),
});

const nameOf = (path: string): string => (path === '.' ? 'the workspace' : oneLine(path, 60));

function shown({ path, type, size }: FileEntry): string {
  if (type === 'directory') return `${path}/`;
  return type === 'symlink' ? `${path}@` : `${path} (${size})`;
}
