/**
 * The sandbox port: an isolated machine that a run's code lives and runs in.
 *
 * Paths given to {@link SandboxFiles} are relative to the workspace and can never leave it, symbolic links
 * included. Nothing a caller passes in may be a secret: whatever is in a sandbox, its code can read.
 */

export interface SandboxLimits {
  /** MiB of memory; past it the kernel kills inside the sandbox. */
  memoryMb: number;
  /** CPU cores, fractions allowed. */
  cpus: number;
  /** Processes and threads alive at once. */
  pids: number;
}

export interface SandboxSpec {
  /** Identity: `create` with a key that exists returns the sandbox that has it (so a retry makes no second). */
  key: string;
  limits: SandboxLimits;
  /** `none`: no interface but loopback. `bridge`: whatever the host reaches. */
  network: 'none' | 'bridge';
  /** Told what is going on while the caller waits, in words a person reads ("Building the image, 3 of 9"). */
  onProgress?: ((phase: string) => void) | undefined;
}

export type SandboxState = 'running' | 'stopped';

export interface SandboxInfo {
  id: string;
  key: string;
  state: SandboxState;
}

export interface ExecOptions {
  /** Workspace-relative directory. Default: the workspace. */
  cwd?: string | undefined;
  env?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds; the whole process tree is killed after it. Default and maximum: 300,000. */
  timeoutMs?: number | undefined;
  /** Bytes of output kept in the result, half of them from the start and half from the end. Default 256 KiB. */
  maxOutputBytes?: number | undefined;
  /** Aborting kills the whole process tree; `exec` then resolves with `ended: 'aborted'`. */
  signal?: AbortSignal | undefined;
  /** Output as it arrives, stdout and stderr interleaved. */
  onOutput?: ((text: string) => void) | undefined;
  /**
   * At-most-once: the first `exec` with this key runs the command; a later one with the same key (after the
   * core was killed, say) runs nothing, waits for the first to end if it still runs, and returns its result.
   * A sandbox that was stopped in between resolves with `ended: 'lost'`.
   */
  key?: string | undefined;
}

export interface ExecResult {
  /** null unless `ended` is `exit`. A process ended by a signal has 128 + its number. */
  exitCode: number | null;
  ended: 'exit' | 'timeout' | 'aborted' | 'lost';
  /** stdout and stderr interleaved, UTF-8 with replacement; shortened in the middle past `maxOutputBytes`. */
  output: string;
  /** Bytes cut out of the middle of `output`; 0 when it is whole. */
  cutBytes: number;
  durationMs: number;
}

export interface PipeResult {
  exitCode: number;
  stdout: Buffer;
  stderr: string;
}

export interface FileEntry {
  /** Workspace-relative, `/`-separated. */
  path: string;
  type: 'file' | 'directory' | 'symlink';
  /** Bytes; 0 for anything but a file. */
  size: number;
}

export interface SearchOptions {
  /** A regular expression in ripgrep's syntax. */
  pattern: string;
  path?: string | undefined;
  /** For instance `*.ts`. */
  glob?: string | undefined;
  ignoreCase?: boolean | undefined;
  /** Default 200. */
  maxMatches?: number | undefined;
}

export interface SearchMatch {
  path: string;
  /** From 1. */
  line: number;
  text: string;
}

export interface SearchResult {
  matches: SearchMatch[];
  /** True when there were more than `maxMatches`. */
  more: boolean;
}

export interface SandboxFiles {
  /** Throws `not_found`, `not_a_file`, `outside_workspace`, `too_large` (> {@link MAX_FILE_BYTES}). */
  read(path: string): Promise<Buffer>;
  /** Replaces atomically, creates parent directories. Throws `outside_workspace`, `too_large`, `not_a_file`. */
  write(path: string, content: Buffer | string): Promise<void>;
  /** Removes a file, a link (not its target) or a directory with all in it. Throws `not_found`, `outside_workspace`. */
  remove(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  /** Entries sorted by path, `.git` left out; `depth` 1 (default) is the directory's own entries. */
  list(
    path: string,
    options?: { depth?: number; maxEntries?: number },
  ): Promise<{ entries: FileEntry[]; more: boolean }>;
  search(options: SearchOptions): Promise<SearchResult>;
}

export interface Sandbox {
  readonly id: string;
  readonly key: string;
  readonly files: SandboxFiles;
  /** Runs `command` with `sh -c` in the workspace. Failure of the command is a result, not an error. */
  exec(command: string, options?: ExecOptions): Promise<ExecResult>;
  /** Plumbing: an argument vector with binary-safe stdin and stdout. Not for commands people or models wrote. */
  pipe(
    argv: readonly [string, ...string[]],
    options?: {
      stdin?: Buffer | undefined;
      cwd?: string | undefined;
      env?: Readonly<Record<string, string>> | undefined;
      signal?: AbortSignal | undefined;
      /** Bytes of stdout; past it the program is killed and `too_large` thrown. Default: 64 MiB. */
      maxBytes?: number | undefined;
    },
  ): Promise<PipeResult>;
  state(): Promise<SandboxState>;
  /** Ends every process; files stay. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Removes everything. Idempotent. */
  destroy(): Promise<void>;
}

export interface SandboxDriver extends AsyncDisposable {
  readonly name: string;
  readonly supports: {
    /** Code inside cannot reach the host. A driver without it serves tests only. */
    isolation: boolean;
    network: boolean;
    limits: boolean;
  };
  /** Ready to work when it resolves; started again if it had been stopped. */
  create(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox>;
  /** By id. undefined when there is none (any more). Does not start a stopped one. */
  open(id: string): Promise<Sandbox | undefined>;
  list(): Promise<SandboxInfo[]>;
}

/** 1 MiB: what a file tool reads or writes at the most. */
export const MAX_FILE_BYTES = 1_048_576;
export const DEFAULT_COMMAND_MS = 300_000;
/** 64 MiB: what the core takes from a program in a sandbox unless it asks for more. */
export const DEFAULT_PIPE_BYTES = 67_108_864;

export type SandboxErrorCode =
  | 'not_found'
  | 'not_a_file'
  | 'outside_workspace'
  | 'too_large'
  | 'bad_pattern'
  /** The operating system refused: no space, no permission, no such program. */
  | 'io_failed'
  | 'not_running'
  | 'driver_unavailable'
  | 'image_failed'
  | 'create_failed'
  | 'git_failed';

export class SandboxError extends Error {
  override readonly name = 'SandboxError';
  readonly code: SandboxErrorCode;
  constructor(code: SandboxErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What a pipe that passed its `maxBytes` throws. */
export const tooMuch = (program: string, maxBytes: number): SandboxError =>
  new SandboxError('too_large', `${program} printed more than ${maxBytes} bytes`);
