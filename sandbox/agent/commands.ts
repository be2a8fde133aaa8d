import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { mkdir, readFile, rename, rmdir, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_COMMAND_MS, type ExecOptions, type ExecResult, SandboxError } from '../sandbox.ts';
import { createFifos } from './fifos.ts';
import { createOutputBuffer } from './output.ts';
import { isErrno } from './paths.ts';
import { killTree } from './processes.ts';

export interface CommandsOptions {
  /** Private to the agent and outside the workspace; what survives a stop of the sandbox. */
  stateDirectory: string;
  /** Private to the agent; may vanish with every stop. */
  runDirectory: string;
  /** The whole environment of commands, but for what an exec adds. */
  environment: Readonly<Record<string, string>>;
  /** See KillRequest.unmarkedToo. */
  aloneHere: boolean;
  /** A directory as the workspace knows it, resolved and inside. */
  resolveDirectory(path: string): Promise<string>;
}

export type Exec = (command: string, options?: ExecOptions) => Promise<ExecResult>;

const DEFAULT_OUTPUT_BYTES = 262_144;
const MAX_OUTPUT_BYTES = 8 * 1_048_576;
/** Output of a command that has ended may still be in its pipe while a background process keeps the pipe open. */
const DRAIN_MS = 30;

/**
 * The command's shell: stderr into stdout so that their order is kept, and first in line when memory runs out, so
 * that a command dies of it and not the agent. A host that refuses the latter runs the command all the same.
 */
const WRAPPER = '{ echo 800 >/proc/self/oom_score_adj; } 2>/dev/null; exec sh -c "$0" 2>&1';

interface Running {
  result: Promise<ExecResult>;
  /** Output so far, then live. Returns the unsubscription. */
  follow(onOutput: (text: string) => void): () => void;
  kill(ended: Unfinished): void;
}

type Unfinished = 'timeout' | 'aborted' | 'lost';

/** `exec` of the sandbox port by local processes. */
export function createCommands(options: CommandsOptions): {
  exec: Exec;
  /** Kills every running command; their `exec` resolves with `ended: 'lost'`. */
  endAll(): void;
} {
  const fifos = createFifos(join(options.runDirectory, 'fifos'));
  const records = join(options.stateDirectory, 'exec');
  const keyed = new Map<string, Promise<Running>>();
  const alive = new Set<Running>();

  const start = async (command: string, execOptions: ExecOptions): Promise<Running> => {
    const started = performance.now();
    const cwd = await options.resolveDirectory(execOptions.cwd ?? '.');
    const id = randomBytes(12).toString('hex');
    const { readEnd, writeEnd } = await fifos.take();
    const child = spawn('/bin/sh', ['-c', WRAPPER, command], {
      cwd,
      env: { ...options.environment, ...execOptions.env, COMIO_EXEC: id },
      detached: true,
      stdio: ['ignore', writeEnd, writeEnd],
    });
    const exited = Promise.withResolvers<number>();
    child.on('error', (error) => exited.reject(couldNotRun('sh', error)));
    child.on('exit', (code, signal) =>
      exited.resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)),
    );
    closeSync(writeEnd);

    const buffer = createOutputBuffer(
      Math.min(execOptions.maxOutputBytes ?? DEFAULT_OUTPUT_BYTES, MAX_OUTPUT_BYTES),
    );
    const decoder = new TextDecoder();
    const followers = new Set<(text: string) => void>();
    const drained = Promise.withResolvers<void>();
    let hasExited = false;
    let quiet: NodeJS.Timeout | undefined;
    let chunks = 0;
    readEnd.on('data', (chunk: Buffer) => {
      chunks += 1;
      buffer.add(chunk);
      const text = decoder.decode(chunk, { stream: true });
      for (const follower of followers) follower(text);
      if (hasExited) quiet?.refresh();
    });
    readEnd.on('close', () => drained.resolve());
    readEnd.on('error', () => drained.resolve());

    let ended: 'exit' | Unfinished = 'exit';
    const kill = (why: Unfinished): void => {
      if (hasExited || child.pid === undefined) return;
      ended = why;
      killTree({ group: child.pid, marker: `COMIO_EXEC=${id}`, unmarkedToo: options.aloneHere });
    };
    const timer = setTimeout(
      () => kill('timeout'),
      Math.min(execOptions.timeoutMs ?? DEFAULT_COMMAND_MS, DEFAULT_COMMAND_MS),
    );

    const finish = async (): Promise<ExecResult> => {
      const exitCode = await exited.promise.finally(() => clearTimeout(timer));
      hasExited = true;
      const endUnlessMoreCame = () => {
        // On a busy machine the time is up before what was printed is read: timers go first, then what can be read.
        const known = chunks;
        setImmediate(() => (chunks === known ? drained.resolve() : quiet?.refresh()));
      };
      quiet = setTimeout(endUnlessMoreCame, DRAIN_MS);
      await drained.promise;
      clearTimeout(quiet);
      const result = buffer.result();
      followers.clear();
      // What a process left in the background prints from now on is read and dropped: closing would kill it.
      readEnd.removeAllListeners('data').resume().unref();
      return {
        exitCode: ended === 'exit' ? exitCode : null,
        ended,
        ...result,
        durationMs: Math.round(performance.now() - started),
      };
    };
    const running: Running = {
      result: finish().finally(() => alive.delete(running)),
      kill,
      follow(onOutput) {
        const sofar = buffer.result().output;
        if (sofar !== '') onOutput(sofar);
        followers.add(onOutput);
        return () => followers.delete(onOutput);
      },
    };
    alive.add(running);
    return running;
  };

  /** The claim is a directory: making it succeeds once. */
  const startOnce = async (key: string, command: string, execOptions: ExecOptions): Promise<Running> => {
    const directory = join(records, createHash('sha256').update(key).digest('hex'));
    await mkdir(records, { recursive: true, mode: 0o700 });
    try {
      await mkdir(directory);
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return finished(await recorded(directory));
      throw error;
    }
    const running = await start(command, execOptions).catch(async (error: unknown) => {
      await rmdir(directory);
      throw error;
    });
    const result = running.result.then(async (value) => {
      if (value.ended === 'lost') return value;
      const temporary = join(directory, 'result.json.new');
      await writeFile(temporary, JSON.stringify(value));
      await rename(temporary, join(directory, 'result.json'));
      return value;
    });
    return { ...running, result };
  };

  return {
    endAll() {
      for (const running of alive) running.kill('lost');
    },
    async exec(command, execOptions = {}) {
      const { key, signal, onOutput } = execOptions;
      let running: Running;
      if (key === undefined) {
        if (signal?.aborted) return nothingRan('aborted');
        running = await start(command, execOptions);
      } else {
        let known = keyed.get(key);
        if (known === undefined) {
          if (signal?.aborted) return nothingRan('aborted');
          known = startOnce(key, command, execOptions);
          keyed.set(key, known);
          // A finished command is read from its record.
          known.then((started) => started.result).then(forget, forget);
        }
        function forget(): void {
          if (key !== undefined) keyed.delete(key);
        }
        running = await known;
      }
      const unfollow = onOutput && running.follow(onOutput);
      const abort = () => running.kill('aborted');
      signal?.addEventListener('abort', abort);
      if (signal?.aborted) abort();
      try {
        return await running.result;
      } finally {
        signal?.removeEventListener('abort', abort);
        unfollow?.();
      }
    },
  };
}

export const couldNotRun = (program: string, cause: Error): SandboxError =>
  new SandboxError('io_failed', `${program} could not run: ${cause.message}`, { cause });

/** A claim without a result: the command ended unseen, with the agent that ran it. */
async function recorded(directory: string): Promise<ExecResult> {
  try {
    return JSON.parse(await readFile(join(directory, 'result.json'), 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return nothingRan('lost');
    throw error;
  }
}

const nothingRan = (ended: 'aborted' | 'lost'): ExecResult => ({
  exitCode: null,
  ended,
  output: '',
  cutBytes: 0,
  durationMs: 0,
});

const finished = (result: ExecResult): Running => ({
  result: Promise.resolve(result),
  kill: () => undefined,
  follow(onOutput) {
    if (result.output !== '') onOutput(result.output);
    return () => undefined;
  },
});
