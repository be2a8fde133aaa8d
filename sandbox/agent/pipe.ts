import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import { type PipeResult, tooMuch } from '../sandbox.ts';
import { couldNotRun } from './commands.ts';
import { killTree } from './processes.ts';

export interface PipeOptions {
  cwd: string;
  env: Readonly<Record<string, string>>;
  aloneHere: boolean;
  signal?: AbortSignal | undefined;
}

export interface RunningPipe {
  /** Not called for a program that reads nothing: ended at once then. */
  write(chunk: Buffer): void;
  end(): void;
  /** Consumes stdout; a slow consumer slows the program. */
  stdout: AsyncIterable<Buffer>;
  /** Settles when the program and its output have ended. Rejects with the signal's reason when aborted. */
  exit: Promise<{ exitCode: number; stderr: string }>;
}

const MAX_STDERR_CHARACTERS = 65_536;

/** `pipe` of the sandbox port by a local process, stdin and stdout as streams. */
export function startPipe(argv: readonly [string, ...string[]], options: PipeOptions): RunningPipe {
  options.signal?.throwIfAborted();
  const id = randomBytes(12).toString('hex');
  const [program, ...rest] = argv;
  const child = spawn(program, rest, {
    cwd: options.cwd,
    env: { ...options.env, COMIO_EXEC: id },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < MAX_STDERR_CHARACTERS) stderr += text;
  });
  // A program may end without having read all of its input; its exit code tells whether that was right.
  child.stdin.on('error', () => undefined);
  const abort = () => {
    if (child.pid === undefined) return;
    killTree({ group: child.pid, marker: `COMIO_EXEC=${id}`, unmarkedToo: options.aloneHere });
  };
  options.signal?.addEventListener('abort', abort, { once: true });
  const { promise, resolve, reject } = Promise.withResolvers<{ exitCode: number; stderr: string }>();
  child.on('error', (error) => reject(couldNotRun(program, error)));
  child.on('close', (code, signal) => {
    options.signal?.removeEventListener('abort', abort);
    if (options.signal?.aborted) reject(options.signal.reason);
    else resolve({ exitCode: code ?? 128 + (signal ? constants.signals[signal] : 0), stderr });
  });
  return {
    write: (chunk) => child.stdin.write(chunk),
    end: () => child.stdin.end(),
    stdout: child.stdout,
    exit: promise,
  };
}

/** `abort`: ends the program that prints more than `maxBytes`. */
export async function collectPipe(
  pipe: RunningPipe,
  { maxBytes, program, abort }: { maxBytes: number; program: string; abort: () => void },
): Promise<PipeResult> {
  const chunks: Buffer[] = [];
  const reading = (async () => {
    let size = 0;
    for await (const chunk of pipe.stdout) {
      size += chunk.length;
      if (size <= maxBytes) {
        chunks.push(chunk);
        continue;
      }
      abort();
      throw tooMuch(program, maxBytes);
    }
  })();
  // The reading first: what it refuses ends the program, and that is then no news.
  const [read, exit] = await Promise.allSettled([reading, pipe.exit]);
  if (read.status === 'rejected') throw read.reason;
  if (exit.status === 'rejected') throw exit.reason;
  return { ...exit.value, stdout: Buffer.concat(chunks) };
}
