import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

export const root = join(import.meta.dirname, '../..');

export interface Import {
  /** As written. */
  specifier: string;
  /** The file it means, from the root; undefined for packages. */
  target: string | undefined;
  /** Erased before the program runs. */
  typeOnly: boolean;
}

export interface Source {
  /** From the root. */
  path: string;
  text: string;
  imports: Import[];
}

/** Every file that git tracks or would track, from the root. */
export const listFiles = (): string[] =>
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(root, path)));

/** Our TypeScript: what is copied into other people's projects, and recorded, is not ours to judge. */
export const readSources = (): Source[] =>
  listFiles()
    .filter((path) => path.endsWith('.ts') && !/^(sandbox\/templates|test\/fixtures)\//.test(path))
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, imports: readImports(path, text) };
    });

const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:(?:[^'";]|\n)*?\sfrom\s+)?'([^']+)'/gm;
const EXPRESSION = /\bimport\(\s*'([^']+)'/g;

const readImports = (path: string, text: string): Import[] => [
  ...[...text.matchAll(STATEMENT)].map(([, type, specifier = '']) => ({
    specifier,
    target: resolve(path, specifier),
    typeOnly: type !== undefined,
  })),
  ...[...text.matchAll(EXPRESSION)].map(([, specifier = '']) => ({
    specifier,
    target: resolve(path, specifier),
    typeOnly: false,
  })),
];

const resolve = (from: string, specifier: string): string | undefined => {
  if (specifier.startsWith('#')) return specifier.slice(1);
  return specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : undefined;
};
