import { execFile } from 'node:child_process';
import { constants, openSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isErrno } from './paths.ts';

/**
 * Real pipes for the output of commands. The `pipe` of node:child_process is a socket, and a command that opens
 * /dev/stdout or /dev/stderr by name (`tee /dev/stderr`) fails on a socket; Node has no pipe(2), so named pipes
 * are made many at a time and unlinked when both ends are open.
 */
export interface Fifos {
  /** The caller closes the descriptor `writeEnd` once the child has it. */
  take(): Promise<{ readEnd: Socket; writeEnd: number }>;
}

const AT_ONCE = 32;

export function createFifos(directory: string): Fifos {
  const ready: string[] = [];
  let batch = 0;
  let making: Promise<void> | undefined;

  const make = async (): Promise<void> => {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const prefix = join(directory, `${process.pid}-${batch}-`);
    batch += 1;
    const paths = Array.from({ length: AT_ONCE }, (_, index) => `${prefix}${index}`);
    await promisify(execFile)('mkfifo', ['-m', '600', ...paths]);
    ready.push(...paths);
  };

  const next = async (): Promise<string> => {
    for (;;) {
      const path = ready.pop();
      if (path !== undefined) return path;
      making ??= make().finally(() => {
        making = undefined;
      });
      await making;
    }
  };

  const openBoth = (path: string): { reading: number; writeEnd: number } => {
    const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // By way of the descriptor it is this very pipe, so that with its reader there it cannot block.
    const writeEnd = openSync(`/proc/self/fd/${reading}`, constants.O_WRONLY);
    rmSync(path, { force: true });
    return { reading, writeEnd };
  };

  return {
    async take() {
      for (let attempt = 0; ; attempt++) {
        const path = await next();
        try {
          const { reading, writeEnd } = openBoth(path);
          return { readEnd: new Socket({ fd: reading, readable: true, writable: false }), writeEnd };
        } catch (error) {
          // A command may have removed them: it runs as the same user.
          if (!isErrno(error, 'ENOENT') || attempt >= 2 * AT_ONCE) throw error;
        }
      }
    },
  };
}
