import { posix } from 'node:path';
import picomatch from 'picomatch';
import { z } from 'zod';
import type { Sandbox } from '#sandbox/sandbox.ts';

/*
 * Files that decide what runs with rights of its own (workflows), who must review, and what is secret: the agent does
 * not change them, whatever a text in the repository or in a chat says. The editing tools refuse early, with a reason
 * the model can act on; what counts is the look at the commits on their way out (sandbox/git-transport.ts, `inspect`),
 * which nothing in the sandbox can get around.
 */

const DEFAULT = [
  '.github/**',
  '.gitlab-ci.yml',
  '.circleci/**',
  '.env*',
  '**/*.pem',
  '**/*.key',
  '**/id_*',
  'CODEOWNERS',
];

/** For runs that nobody asked for, whatever the setting says. */
const UNASKED = ['.github/workflows/**'];

export const env = {
  DENIED_PATHS: {
    schema: z
      .string()
      .default(DEFAULT.join(','))
      .transform((text, context) => {
        const globs = text
          .split(',')
          .map((glob) => glob.trim())
          .filter(Boolean);
        for (const glob of globs)
          if (/^(!|\/)|(^|\/)\.\.?(\/|$)/.test(glob))
            context.addIssue({
              code: 'custom',
              message: `${glob} must be relative and may not begin with "!"`,
            });
        return globs;
      }),
    help: 'Paths the agent may not change: globs, separated by commas; one without "/" matches a name in any folder.',
  },
};

export interface PathPolicy {
  /** The first of the workspace-relative `paths` that may not be changed. They must be free of links. */
  firstDenied(paths: readonly string[]): string | undefined;
}

/** `unasked`: the run was started by Comio itself. */
export function createPathPolicy(globs: readonly string[], { unasked }: { unasked: boolean }): PathPolicy {
  const matches = picomatch(
    [...globs, ...(unasked ? UNASKED : [])].map((glob) => (glob.includes('/') ? glob : `**/${glob}`)),
    // Some file systems and forges take `.GitHub` for `.github`. A `{` or `(` in a glob stays what it is in picomatch.
    // `s`: a line break in a name is a character like another.
    { dot: true, flags: 'is' },
  );
  const denied = (path: string): boolean => {
    const plain = posix.normalize(path).replace(/^\/+|\/+$/g, '');
    return matches(plain) || ancestorsOf(plain).some((folder) => matches(folder));
  };
  return { firstDenied: (paths) => paths.find(denied) };
}

/** A name that is denied is so as a folder as well, with everything in it. */
const ancestorsOf = (path: string): string[] => {
  const parts = path.split('/');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
};

/** A push was refused for what its commits touch. */
export class DeniedPath extends Error {
  override readonly name = 'DeniedPath';
  readonly path: string;
  constructor(path: string) {
    super(`${path} is denied by policy: nothing was pushed.`);
    this.path = path;
  }
}

/**
 * What a path that a tool was given stands for, every way to look at it: as it was written, and with the links on the
 * way followed. Relative to the workspace.
 */
export async function meantBy(sandbox: Sandbox, path: string): Promise<string[]> {
  const argv = ['realpath', '--canonicalize-missing', '--relative-to=.', '--', path] as const;
  const { exitCode, stdout } = await sandbox.pipe(argv);
  const real = stdout.toString().replace(/\n$/, '');
  return exitCode === 0 ? [path, real] : [path];
}

export const deniedReason = (path: string): string =>
  `${path} is denied by policy: Comio does not change it, in no way. Do what was asked without it, or say in your last message what people have to change there.`;
