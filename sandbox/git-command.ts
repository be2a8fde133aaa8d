import { type PipeResult, type Sandbox, SandboxError } from './sandbox.ts';

export interface GitOptions {
  stdin?: Buffer | string | undefined;
  env?: Readonly<Record<string, string>> | undefined;
  /** Exit codes that are answers. Default: 0. */
  ok?: readonly number[] | undefined;
  signal?: AbortSignal | undefined;
  /** Of the output; see Sandbox.pipe. */
  maxBytes?: number | undefined;
}

/** Whatever the repository's own configuration says, none of it runs for us. */
const CONFIG = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.quotePath=false',
  'core.autocrlf=false',
  'core.sparseCheckout=false',
  'core.ignoreStat=false',
  'core.pager=cat',
  'commit.gpgSign=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'safe.directory=*',
].flatMap((setting) => ['-c', setting]);

const ENVIRONMENT = {
  // Said outright, so that a workspace without a repository is never taken for part of one around it.
  GIT_DIR: '.git',
  GIT_WORK_TREE: '.',
  // What an object's name stands for is that object, and a commit's parents are those it names.
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_GRAFT_FILE: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_LITERAL_PATHSPECS: '1',
  GIT_OPTIONAL_LOCKS: '0',
  LC_ALL: 'C.UTF-8',
  ...identity({ name: 'Comio', email: 'comio@localhost' }),
};

export interface Author {
  name: string;
  email: string;
}

/** Author and committer as git reads them from its environment. */
export function identity(author: Author): Record<string, string> {
  return {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_COMMITTER_NAME: author.name,
    GIT_COMMITTER_EMAIL: author.email,
  };
}

/** git in the workspace of `sandbox`. Throws `git_failed` for an exit code that is not `ok`. */
export async function runGit(
  sandbox: Sandbox,
  argv: readonly string[],
  options: GitOptions = {},
): Promise<PipeResult> {
  const result = await sandbox.pipe(['git', ...CONFIG, ...argv], {
    stdin: options.stdin === undefined ? undefined : Buffer.from(options.stdin),
    env: { ...ENVIRONMENT, ...options.env },
    signal: options.signal,
    maxBytes: options.maxBytes,
  });
  if (!(options.ok ?? [0]).includes(result.exitCode)) {
    const said = result.stderr.trim().slice(-1000) || `exit code ${result.exitCode}`;
    throw new SandboxError('git_failed', `git ${argv[0]}: ${said}`);
  }
  return result;
}

/** What git printed, without the newline at its end. */
export const gitText = async (
  sandbox: Sandbox,
  argv: readonly string[],
  options?: GitOptions,
): Promise<string> => (await runGit(sandbox, argv, options)).stdout.toString().replace(/\n$/, '');
