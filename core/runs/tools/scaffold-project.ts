import { z } from 'zod';
import type { Sandbox } from '#sandbox/sandbox.ts';
import { listTemplates, loadTemplate } from '#sandbox/templates.ts';
import { contentOf } from './create-file.ts';
import { failure, mendable, success } from './result.ts';
import { defineTool } from './tool.ts';

const templates = await listTemplates();
const names = templates.map(({ name }) => name);

export const scaffoldProject = defineTool({
  name: 'scaffold_project',
  description: `Fills an empty workspace with a small working project that has passing tests, to be changed into what was asked. Templates:\n${templates
    .map(({ name, description }) => `- ${name}: ${description}`)
    .join('\n')}`,
  schema: z.strictObject({
    template: z.enum(names),
    name: z.string().min(1).max(100).describe('The project, in a few words.'),
  }),
  effect: 'write',
  title: ({ template }) => `Setting up a ${template} project`,
  execute: ({ template, name }, { sandbox }) => {
    const failed = `Could not set up a ${template} project`;
    return mendable(failed, async () => {
      const { files, testCommand } = await loadTemplate(template, { projectName: name });
      const inTheWay = await obstacles(sandbox, files);
      if (inTheWay.length > 0) {
        const shown = inTheWay.slice(0, 10).join(', ');
        const more = inTheWay.length > 10 ? ` and ${inTheWay.length - 10} more` : '';
        return failure(
          `The workspace is not empty: ${shown}${more}. Nothing was written. Work with what is there, or delete it first if it is not needed.`,
          failed,
        );
      }
      const kept: string[] = [];
      for (const { path, content } of files) {
        const existing = await contentOf(sandbox, path);
        // A repository that was made with a README keeps it.
        if (existing !== undefined && !existing.equals(Buffer.from(content))) kept.push(path);
        else await sandbox.files.write(path, content);
      }
      const list = files.map(({ path }) => path).filter((path) => !kept.includes(path));
      const keptNote = kept.length > 0 ? `\nKept as it was: ${kept.join(', ')}.` : '';
      return success(
        `Written:\n${list.join('\n')}${keptNote}\nIts tests run with: ${testCommand}`,
        `Set up a ${template} project, ${list.length} files`,
        [{ type: 'scaffold', template, files: list.length }],
      );
    });
  },
});

/** Files that are neither a README nor, after an interrupted first time, the template's own. */
async function obstacles(
  sandbox: Sandbox,
  files: readonly { path: string; content: string }[],
): Promise<string[]> {
  const { entries } = await sandbox.files.list('.', { depth: 20 });
  const found: string[] = [];
  for (const { path, type } of entries) {
    if (type === 'directory' || /^readme(\.\w+)?$/i.test(path)) continue;
    const own = files.find((file) => file.path === path);
    const same = own && type === 'file' && (await contentOf(sandbox, path))?.equals(Buffer.from(own.content));
    if (!same) found.push(path);
  }
  return found;
}
