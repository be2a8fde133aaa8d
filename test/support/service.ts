import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Comio as its users run it: a process of its own. */
export interface Service extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  url: string;
  pid: number;
  /** Every log record since the start, parsed. */
  records: Record<string, unknown>[];
  /** SIGKILL: no chance to tidy up. Resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM, as a deployment does it. Resolves with the exit code. */
  terminate(): Promise<number | null>;
  /** Resolves when the process has ended, however. */
  ended: Promise<void>;
}

const READY_MS = 60_000;

/**
 * Starts `bots/main.ts` with exactly this environment (plus PATH and HOME) and waits until it is ready. `onRecord`
 * sees each log record synchronously with its arrival: killing there is killing at that point of the work.
 */
export async function startService(
  env: Record<string, string>,
  onRecord?: (record: Record<string, unknown>, kill: () => void) => void,
): Promise<Service> {
  const { PATH = '', HOME = '' } = process.env;
  const child: ChildProcess = spawn(process.execPath, ['bots/main.ts'], {
    cwd: new URL('../..', import.meta.url).pathname,
    env: { PATH, HOME, PORT: '0', LOG_LEVEL: 'debug', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (child.pid === undefined || !child.stderr) throw new Error('the service process did not start');
  const records: Record<string, unknown>[] = [];
  const listening = Promise.withResolvers<string>();
  const plain: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (!line.startsWith('{')) {
      plain.push(line);
      return;
    }
    const record = JSON.parse(line) as Record<string, unknown>;
    records.push(record);
    if (record.msg === 'listening') listening.resolve(String(record.url));
    onRecord?.(record, () => child.kill('SIGKILL'));
  });
  const ended = once(child, 'exit').then(() => undefined);
  const timeout = setTimeout(
    () => listening.reject(new Error('the service was not ready in time')),
    READY_MS,
  );
  void ended.then(() =>
    listening.reject(
      new Error(
        `the service ended: ${[...plain, ...records.slice(-5).map((r) => JSON.stringify(r))].join('\n')}`,
      ),
    ),
  );
  const url = await listening.promise.finally(() => clearTimeout(timeout));
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await ended;
    }
    return child.exitCode;
  };
  return {
    url,
    pid: child.pid,
    records,
    kill: async () => void (await end('SIGKILL')),
    terminate: () => end('SIGTERM'),
    ended,
    [Symbol.asyncDispose]: async () => void (await end('SIGTERM')),
  };
}
