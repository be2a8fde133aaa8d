import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { SandboxError } from '../sandbox.ts';

/** A program of the host that must succeed. Its stdout is the caller's to read. */
export interface HostCommand {
  stdout: Readable;
  /** Rejects with `image_failed` and the end of what it said. */
  done: Promise<void>;
}

export function startHostCommand(
  argv: readonly [string, ...string[]],
  options: {
    cwd?: string | undefined;
    env?: NodeJS.ProcessEnv | undefined;
    signal?: AbortSignal | undefined;
    onStderrLine?: ((line: string) => void) | undefined;
  } = {},
): HostCommand {
  const [program, ...rest] = argv;
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(program, rest, {
    cwd: options.cwd,
    env: options.env,
    signal: options.signal,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
    for (const line of text.split('\n')) if (line.trim() !== '') options.onStderrLine?.(line.trim());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.on('error', (cause) =>
    reject(new SandboxError('image_failed', `${program}: ${cause.message}`, { cause })),
  );
  child.on('close', (code) => {
    if (code === 0) resolve();
    else reject(new SandboxError('image_failed', `${program} ended with ${code}: ${said.trim()}`));
  });
  return { stdout: child.stdout, done: promise };
}

export async function runHostCommand(
  argv: readonly [string, ...string[]],
  options: Parameters<typeof startHostCommand>[1] = {},
): Promise<void> {
  const { stdout, done } = startHostCommand(argv, options);
  stdout.resume();
  await done;
}
