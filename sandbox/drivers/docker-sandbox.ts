import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { type AgentClient, ConnectionLost } from '../agent/client.ts';
import { hasStatus, withDaemon } from '../docker-client.ts';
import {
  DEFAULT_COMMAND_MS,
  type ExecResult,
  type Sandbox,
  SandboxError,
  type SandboxFiles,
  type SandboxState,
} from '../sandbox.ts';
import { volumesOf } from './docker-container.ts';
import { openChannel } from './docker-exec.ts';

/** An agent that lives answers within these. */
const FILE_MS = 60_000;
const PIPE_MS = 600_000;
const GRACE_MS = 5000;
const ABORT_MS = 2000;

export interface DockerSandboxOptions {
  docker: Docker;
  /** The container's name. */
  id: string;
  key: string;
  onDestroyed: () => void;
}

/** One sandbox of the Docker driver: its container's life cycle, and its agent's work over one kept connection. */
export function createDockerSandbox({ docker, id, key, onDestroyed }: DockerSandboxOptions): {
  sandbox: Sandbox;
  disconnect(): Promise<void>;
} {
  const container = docker.getContainer(id);
  let channel: Promise<AgentClient> | undefined;

  const connect = (): Promise<AgentClient> => {
    if (channel !== undefined) return channel;
    const opening = openChannel(docker, id);
    channel = opening;
    const forget = () => {
      if (channel === opening) channel = undefined;
    };
    opening.then((client) => client.closed).then(forget, forget);
    return opening;
  };
  const disconnect = async (): Promise<void> => {
    const open = channel;
    channel = undefined;
    if (open === undefined) return;
    const [settled] = await Promise.allSettled([open]);
    if (settled.status === 'fulfilled') settled.value.close();
  };

  const state = async (): Promise<SandboxState> => {
    try {
      const { State } = await container.inspect();
      return State.Running ? 'running' : 'stopped';
    } catch (error) {
      if (hasStatus(error, 404))
        throw new SandboxError('not_found', `The sandbox ${key} is gone`, { cause: error });
      throw error;
    }
  };

  const runs = async (): Promise<boolean> => {
    try {
      return (await state()) === 'running';
    } catch (error) {
      if (error instanceof SandboxError && error.code === 'not_found') return false;
      throw error;
    }
  };

  const stop = async (): Promise<void> => {
    await ignoring([304], container.stop({ t: 0 }));
    await disconnect();
  };
  const start = async (): Promise<void> => {
    await ignoring([304], container.start());
    await connect();
  };

  /**
   * An agent that does not answer although it should: code beside it has the same user and may have halted it. With a
   * new start of the container everything in it ends, as it would have had to.
   */
  const restart = async (): Promise<void> => {
    await stop();
    await start();
  };

  /** Runs `work` on the connection; one that breaks means `not_running`, or a fault of the agent's. */
  const withAgent = <T>(work: (client: AgentClient) => Promise<T>, patience: Patience = {}): Promise<T> =>
    withDaemon('io_failed', async () => {
      try {
        return await unlessStuck(work(await connect()), patience);
      } catch (error) {
        if (error instanceof Stuck) {
          await restart();
          throw patience.signal?.aborted ? patience.signal.reason : stuckError(error);
        }
        if (!(error instanceof ConnectionLost)) throw error;
        if (await runs()) {
          throw new SandboxError('io_failed', `The connection into ${key} broke`, { cause: error });
        }
        throw new SandboxError('not_running', `The sandbox ${key} does not run`, { cause: error });
      }
    });
  const stuckError = (cause: Stuck): SandboxError =>
    new SandboxError('io_failed', `The sandbox ${key} did not answer and was started again`, { cause });

  /** Another removes it at the same time: done when it is gone. */
  const removalInProgress = async (error: unknown): Promise<void> => {
    if (!hasStatus(error, 409)) throw error;
    await ignoring([404], container.wait({ condition: 'removed' }));
  };

  const files: SandboxFiles = {
    read: (path) => withAgent((client) => client.files.read(path)),
    write: (path, content) => withAgent((client) => client.files.write(path, content)),
    remove: (path) => withAgent((client) => client.files.remove(path)),
    makeDirectory: (path) => withAgent((client) => client.files.makeDirectory(path)),
    list: (path, options) => withAgent((client) => client.files.list(path, options)),
    search: (options) => withAgent((client) => client.files.search(options)),
  };

  const sandbox: Sandbox = {
    id,
    key,
    files,
    async exec(command, options = {}) {
      const client = await withDaemon('io_failed', connect);
      const started = performance.now();
      const limit = Math.min(options.timeoutMs ?? DEFAULT_COMMAND_MS, DEFAULT_COMMAND_MS);
      const patience = { ms: limit + GRACE_MS, signal: options.signal };
      try {
        return await unlessStuck(client.exec(command, options), patience);
      } catch (error) {
        if (error instanceof Stuck) {
          await withDaemon('io_failed', restart);
          return unfinished(options.signal?.aborted ? 'aborted' : 'timeout', started);
        }
        if (!(error instanceof ConnectionLost)) throw error;
        // Where only the connection broke, a command with a key may still run: its agent knows.
        if (options.key === undefined) return unfinished('lost', started);
        return await withAgent((again) => again.exec(command, options), patience).catch((later: unknown) => {
          if (later instanceof SandboxError && later.code === 'not_running')
            return unfinished('lost', started);
          throw later;
        });
      }
    },
    pipe: (argv, options) =>
      withAgent((client) => client.pipe(argv, options), { ms: PIPE_MS, signal: options?.signal }),
    state: () => withDaemon('io_failed', state),
    stop: () => withDaemon('io_failed', stop),
    start: () => withDaemon('create_failed', start),
    destroy: () =>
      withDaemon('io_failed', async () => {
        await ignoring([404], container.remove({ force: true, v: true }).catch(removalInProgress));
        await disconnect();
        for (const name of Object.values(volumesOf(id))) await removeVolume(docker, name);
        onDestroyed();
      }),
  };

  return { sandbox, disconnect };
}

const unfinished = (ended: 'timeout' | 'aborted' | 'lost', started: number): ExecResult => ({
  exitCode: null,
  ended,
  output: '',
  cutBytes: 0,
  durationMs: Math.round(performance.now() - started),
});

interface Patience {
  /** What the work may take at the most. */
  ms?: number | undefined;
  /** Once it is aborted there is little patience left. */
  signal?: AbortSignal | undefined;
}

class Stuck extends Error {
  override readonly name = 'Stuck';
}

/** Rejects with Stuck when `work` takes longer than it can with an agent that lives. */
async function unlessStuck<T>(work: Promise<T>, { ms = FILE_MS, signal }: Patience): Promise<T> {
  const stuck = Promise.withResolvers<never>();
  const give = (after: number) => setTimeout(() => stuck.reject(new Stuck('No answer')), after);
  let timer = give(ms);
  const hurry = () => {
    clearTimeout(timer);
    timer = give(ABORT_MS);
  };
  signal?.addEventListener('abort', hurry);
  if (signal?.aborted) hurry();
  try {
    return await Promise.race([work, stuck.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', hurry);
  }
}

async function ignoring(statuses: number[], work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!hasStatus(error, ...statuses)) throw error;
  }
}

/** A volume is in use for a moment after its container is gone. */
async function removeVolume(docker: Docker, name: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await ignoring([404], docker.getVolume(name).remove());
    } catch (error) {
      if (!hasStatus(error, 409) || attempt === 50) throw error;
      await delay(100);
    }
  }
}
