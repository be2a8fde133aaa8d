import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Comio as its users run it: a process of its own. */
export interface Service extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  url: string;
  pid: number;
  /** Milliseconds from its start until it listened, and until it was ready. */
  took: { listening: number; ready: number };
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

export interface ServiceOptions {
  /** Sees each log record as it arrives. */
  onRecord?: (record: Record<string, unknown>) => void;
  /** A module loaded into the process before everything else. */
  preload?: URL;
  /** Lives for seconds: optimising PGlite's code, and collecting garbage early, would take longer than it saves. */
  shortLived?: boolean;
}

const SHORT_LIVED = ['--liftoff-only', '--min-semi-space-size=32', '--max-semi-space-size=64'];

/** Starts `bots/main.ts` with exactly this environment (plus PATH and HOME) and waits until it is ready. */
export async function startService(
  env: Record<string, string>,
  { onRecord, preload, shortLived = false }: ServiceOptions = {},
): Promise<Service> {
  const { PATH = '', HOME = '' } = process.env;
  const flags = [...(shortLived ? SHORT_LIVED : []), ...(preload ? ['--import', preload.href] : [])];
  const started = performance.now();
  const child: ChildProcess = spawn(process.execPath, [...flags, 'bots/main.ts'], {
    cwd: new URL('../..', import.meta.url).pathname,
    env: { PATH, HOME, PORT: '0', LOG_LEVEL: 'debug', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (child.pid === undefined || !child.stderr) throw new Error('the service process did not start');
  const records: Record<string, unknown>[] = [];
  const ready = Promise.withResolvers<string>();
  const took = { listening: Number.NaN, ready: Number.NaN };
  const plain: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (!line.startsWith('{')) {
      plain.push(line);
      return;
    }
    const record = JSON.parse(line) as Record<string, unknown>;
    records.push(record);
    if (record.msg === 'listening' || record.msg === 'ready') took[record.msg] = performance.now() - started;
    if (record.msg === 'ready') ready.resolve(String(record.url));
    onRecord?.(record);
  });
  const ended = once(child, 'exit').then(() => undefined);
  const timeout = setTimeout(() => ready.reject(new Error('the service was not ready in time')), READY_MS);
  void ended.then(() =>
    ready.reject(
      new Error(
        `the service ended: ${[...plain, ...records.slice(-5).map((r) => JSON.stringify(r))].join('\n')}`,
      ),
    ),
  );
  const url = await ready.promise.finally(() => clearTimeout(timeout));
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
    took,
    records,
    kill: async () => void (await end('SIGKILL')),
    terminate: () => end('SIGTERM'),
    ended,
    [Symbol.asyncDispose]: async () => void (await end('SIGTERM')),
  };
}
