import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { SandboxError } from './sandbox.ts';

/*
 * A template is a directory in templates/: `template.json` describes it, `files/` is the project. In it `{{name}}`
 * stands for the project's name, and a leading `_` of a file name for a dot: a real `.gitignore` would hide files of
 * ours.
 */

const DIRECTORY = join(import.meta.dirname, 'templates');

const description = z.strictObject({
  /** One line, from which people and models choose. */
  description: z.string().min(1),
  /** Run in the project's root with nothing installed, it succeeds on the untouched template. */
  testCommand: z.string().min(1),
});

export interface TemplateSummary {
  name: string;
  description: string;
}

export interface Template {
  /** Paths are `/`-separated and relative to the project's root, sorted. */
  files: { path: string; content: string }[];
  testCommand: string;
  description: string;
}

export async function listTemplates(): Promise<TemplateSummary[]> {
  const names = await templateNames();
  return Promise.all(names.map(async (name) => ({ name, description: (await describe(name)).description })));
}

/** Throws `not_found`, naming the templates there are. */
export async function loadTemplate(
  name: string,
  { projectName }: { projectName: string },
): Promise<Template> {
  const names = await templateNames();
  if (!names.includes(name)) {
    throw new SandboxError('not_found', `There is no template "${name}"; there are ${names.join(', ')}.`);
  }
  const root = join(DIRECTORY, name, 'files');
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const slug = slugOf(projectName);
  const files = await Promise.all(
    paths.map(async (path) => ({
      path: relative(root, path).replace(/(^|\/)_(?=[^_/][^/]*$)/, '$1.'),
      content: (await readFile(path, 'utf8')).replaceAll('{{name}}', slug),
    })),
  );
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { ...(await describe(name)), files };
}

async function templateNames(): Promise<string[]> {
  const entries = await readdir(DIRECTORY, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

const describe = async (name: string) =>
  description.parse(JSON.parse(await readFile(join(DIRECTORY, name, 'template.json'), 'utf8')));

/** Good as a package name, in HTML and in JSON alike. */
const slugOf = (projectName: string): string =>
  projectName
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{Mark}+/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 100)
    .replace(/^-+|-+$/g, '') || 'project';
