import { stat } from 'node:fs/promises';
import type { SandboxFiles } from '../sandbox.ts';
import { SandboxError } from '../sandbox.ts';
import { createCommands, type Exec } from './commands.ts';
import { createFiles } from './files.ts';
import { isErrno, resolveInside } from './paths.ts';
import { type RunningPipe, startPipe } from './pipe.ts';
import type { Search } from './search.ts';

export interface WorkspaceOptions {
  /** Absolute and free of symbolic links. */
  root: string;
  /** Outside the root; what survives a stop of the sandbox. */
  stateDirectory: string;
  /** Outside the root; may vanish with every stop. */
  runDirectory: string;
  environment: Readonly<Record<string, string>>;
  /** Every process here but the agent's belongs to a command (true in a container). */
  aloneHere: boolean;
  search: Search;
}

/**
 * A workspace where its files are: the one implementation of exec, pipe and files. The memory driver calls it in the
 * core's process; in a container it is called through the agent's socket.
 */
export interface Workspace {
  readonly files: SandboxFiles;
  readonly exec: Exec;
  /** Kills every running command; their `exec` resolves with `ended: 'lost'`. */
  endAll(): void;
  pipe(
    argv: readonly [string, ...string[]],
    options: {
      cwd?: string | undefined;
      env?: Readonly<Record<string, string>> | undefined;
      signal?: AbortSignal | undefined;
    },
  ): Promise<RunningPipe>;
}

export function createWorkspace(options: WorkspaceOptions): Workspace {
  const resolveDirectory = async (path: string): Promise<string> => {
    const resolved = await resolveInside(options.root, path, { followLast: true });
    try {
      if ((await stat(resolved)).isDirectory()) return resolved;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw new SandboxError('not_found', `${path} does not exist`);
      throw error;
    }
    throw new SandboxError('not_a_file', `${path} is not a directory`);
  };
  const { exec, endAll } = createCommands({ ...options, resolveDirectory });
  return {
    files: createFiles(options.root, options.search),
    exec,
    endAll,
    async pipe(argv, { cwd = '.', env, signal }) {
      return startPipe(argv, {
        cwd: await resolveDirectory(cwd),
        env: { ...options.environment, ...env },
        aloneHere: options.aloneHere,
        signal,
      });
    },
  };
}
