/**
 * The deploy-target port: where releases are built and run.
 *
 * Everything is found again by its key, so that a core that was killed between a call and noting its result calls
 * again and makes no second one.
 */

export interface BuildRequest {
  /** Identity: the same key is the same source, so an image that is there is returned without building. */
  key: string;
  /** The source tree as an uncompressed tar, without `.git`. */
  source: Buffer;
  /** Told in words a person reads, as it goes on ("Step 3 of 7: RUN npm ci"). */
  onProgress?: ((line: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface Built {
  /** What {@link Target.start} takes; content-addressed where the target can. */
  image: string;
  /** Where the recipe came from. */
  recipe: 'Dockerfile' | 'node' | 'python';
  /** The port the app listens on inside. */
  port: number;
}

export interface InstanceSpec {
  /** Identity of this start: a deployment's id. */
  key: string;
  image: string;
  port: number;
  /** For people and for scrapes: shown by the target's own tools. */
  labels: Readonly<Record<string, string>>;
  env: Readonly<Record<string, string>>;
  limits: { memoryMb: number; cpus: number; pids: number };
}

export type InstanceState = 'running' | 'exited';

export interface Instance {
  id: string;
  key: string;
  /** Reachable from the core, and from nobody else. */
  address: { host: string; port: number };
  state: InstanceState;
  /** When it has ended. */
  exitCode: number | undefined;
  startedAt: Date;
  labels: Readonly<Record<string, string>>;
}

export interface Target extends AsyncDisposable {
  readonly name: string;
  /** Throws `build_failed` (with the end of the output in `detail`), `no_recipe`, `unavailable`. */
  build(request: BuildRequest): Promise<Built>;
  /** Resolves when the process has been started, not when it is healthy. Idempotent by key. */
  start(spec: InstanceSpec, signal?: AbortSignal): Promise<Instance>;
  /** undefined when there is none (any more). */
  instance(key: string): Promise<Instance | undefined>;
  /** Everything of ours on the target, running or not. */
  list(): Promise<Instance[]>;
  /**
   * The newest output, oldest line first, at most `lines` and at most what {@link isCut} tells by. Since: only what was
   * printed then or after; until: only what was printed before.
   */
  logs(
    key: string,
    options: { lines: number; since?: Date | undefined; until?: Date | undefined },
  ): Promise<string[]>;
  /** SIGTERM, after `graceMs` SIGKILL, then it is removed. Idempotent. */
  stop(key: string, graceMs: number): Promise<void>;
}

export type TargetErrorCode = 'build_failed' | 'no_recipe' | 'start_failed' | 'unavailable';

/** Messages say what was wrong and what to do. */
export class TargetError extends Error {
  override readonly name = 'TargetError';
  readonly code: TargetErrorCode;
  /** The end of what was printed, for a code block. */
  readonly detail: string | undefined;
  constructor(
    code: TargetErrorCode,
    message: string,
    options?: ErrorOptions & { detail?: string | undefined },
  ) {
    super(message, options);
    this.code = code;
    this.detail = options?.detail;
  }
}
