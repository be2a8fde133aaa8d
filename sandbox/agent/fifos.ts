import { execFile } from 'node:child_process';
import { constants, openSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

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

  return {
    async take() {
      const path = await next();
      // Reading end first and without blocking; the writing end then opens at once, so both may be synchronous.
      const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const writeEnd = openSync(path, constants.O_WRONLY);
      rmSync(path);
      return { readEnd: new Socket({ fd: reading, readable: true, writable: false }), writeEnd };
    },
  };
}
