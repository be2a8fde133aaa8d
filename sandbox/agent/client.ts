import type { Readable, Writable } from 'node:stream';
import { type ZodType, z } from 'zod';
import {
  DEFAULT_PIPE_BYTES,
  type ExecOptions,
  type ExecResult,
  type Sandbox,
  SandboxError,
  type SandboxFiles,
  tooMuch,
} from '../sandbox.ts';
import { createFrameReader, encodeFrame, PROTOCOL, type Request, type Response } from './frames.ts';

/** The workspace behind an agent's connection. */
export interface AgentClient {
  readonly files: SandboxFiles;
  exec(command: string, options?: ExecOptions): Promise<ExecResult>;
  pipe: Sandbox['pipe'];
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  close(): void;
}

/** What every open request is rejected with when the connection ends; the driver finds out why it did. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

interface Pending {
  resolve(answer: { value: unknown; bytes: Buffer }): void;
  reject(error: Error): void;
  onOutput?: ((bytes: Buffer) => void) | undefined;
}

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;

/** Input is sent in frames of this size. */
const CHUNK = 262_144;

const nothing = z.undefined();
const execResult = z.object({
  exitCode: z.int().nullable(),
  ended: z.enum(['exit', 'timeout', 'aborted', 'lost']),
  output: z.string(),
  cutBytes: z.number(),
  durationMs: z.number(),
});
const pipeExit = z.object({ exitCode: z.int(), stderr: z.string() });
const listing = z.object({
  entries: z.array(
    z.object({ path: z.string(), type: z.enum(['file', 'directory', 'symlink']), size: z.number() }),
  ),
  more: z.boolean(),
});
const searchResult = z.object({
  matches: z.array(z.object({ path: z.string(), line: z.int(), text: z.string() })),
  more: z.boolean(),
});

function parse<T>(schema: ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SandboxError('io_failed', 'The sandbox answered what no agent answers', { cause: parsed.error });
}

/**
 * Speaks to an agent and resolves once it has answered; the connection ends with either stream. What an agent says may be the work of hostile
 * code beside it: it is read with limits, and only ever as the result of what was asked.
 */
export async function connectAgent(from: Readable, to: Writable): Promise<AgentClient> {
  const pending = new Map<number, Pending>();
  const read = createFrameReader<Response>();
  const closed = Promise.withResolvers<void>();
  let open = true;
  let lastId = 0;

  const end = (): void => {
    open = false;
    for (const request of pending.values()) request.reject(new ConnectionLost('The connection ended'));
    pending.clear();
    to.destroy();
    closed.resolve();
  };
  from.on('data', (chunk: Buffer) => {
    try {
      for (const { header, bytes } of read(chunk)) receive(header, bytes);
    } catch {
      // Not a frame: whatever is at the other end is no agent (any more).
      end();
    }
  });
  for (const event of ['end', 'close', 'error']) {
    from.on(event, end);
    to.on(event, end);
  }

  const receive = (response: Response, bytes: Buffer): void => {
    const request = pending.get(response.id);
    if (request === undefined) return;
    if (response.type === 'output') {
      request.onOutput?.(bytes);
      return;
    }
    pending.delete(response.id);
    if (response.type === 'done') request.resolve({ value: response.value, bytes });
    else request.reject(new SandboxError(response.code, response.message));
  };

  const start = (
    request: WithoutId<Request>,
    options: { bytes?: Buffer; onOutput?: ((bytes: Buffer) => void) | undefined } = {},
  ) => {
    lastId += 1;
    const id = lastId;
    const { promise, resolve, reject } = Promise.withResolvers<{ value: unknown; bytes: Buffer }>();
    if (open) {
      pending.set(id, { resolve, reject, onOutput: options.onOutput });
      to.write(encodeFrame({ ...request, id }, options.bytes));
    } else {
      reject(new ConnectionLost('The connection ended'));
    }
    const cancel = () => open && to.write(encodeFrame({ id, op: 'cancel' }));
    return { id, answer: promise, cancel };
  };
  const call = async <T>(request: WithoutId<Request>, schema: ZodType<T>, bytes?: Buffer): Promise<T> => {
    const { value } = await start(request, bytes === undefined ? {} : { bytes }).answer;
    return parse(schema, value);
  };

  const client: AgentClient = {
    closed: closed.promise,
    close: end,
    async exec(command, { signal, onOutput, ...options } = {}) {
      const { answer, cancel } = start(
        { op: 'exec', command, options, live: onOutput !== undefined, aborted: signal?.aborted ?? false },
        { onOutput: onOutput && ((bytes) => onOutput(bytes.toString())) },
      );
      return await cancellable(
        signal,
        cancel,
        answer.then(({ value }) => parse(execResult, value)),
      );
    },
    async pipe(argv, { stdin, cwd, env, signal, maxBytes = DEFAULT_PIPE_BYTES } = {}) {
      signal?.throwIfAborted();
      const chunks: Buffer[] = [];
      let size = 0;
      const onOutput = (bytes: Buffer): void => {
        size += bytes.length;
        if (size <= maxBytes) chunks.push(bytes);
        else refuse();
      };
      const { id, answer, cancel } = start({ op: 'pipe', argv: [...argv], cwd, env }, { onOutput });
      const refuse = (): void => {
        cancel();
        pending.get(id)?.reject(tooMuch(argv[0], maxBytes));
        pending.delete(id);
        chunks.length = 0;
      };
      for (let at = 0; open && at < (stdin?.length ?? 0); at += CHUNK) {
        to.write(encodeFrame({ id, op: 'stdin' }, stdin?.subarray(at, at + CHUNK)));
      }
      if (open) to.write(encodeFrame({ id, op: 'stdin' }));
      const exit = await cancellable(signal, cancel, answer).catch((error: unknown) => {
        throw signal?.aborted ? signal.reason : error;
      });
      return { ...parse(pipeExit, exit.value), stdout: Buffer.concat(chunks) };
    },
    files: {
      read: async (path) => (await start({ op: 'read', path }).answer).bytes,
      write: (path, content) => call({ op: 'write', path }, nothing, Buffer.from(content)),
      remove: (path) => call({ op: 'remove', path }, nothing),
      makeDirectory: (path) => call({ op: 'makeDirectory', path }, nothing),
      list: (path, options = {}) => call({ op: 'list', path, options }, listing),
      search: (options) => call({ op: 'search', options }, searchResult),
    },
  };
  const spoken = await call({ op: 'hello' }, z.number());
  if (spoken !== PROTOCOL) {
    end();
    throw new SandboxError('driver_unavailable', `The sandbox speaks protocol ${spoken}, not ${PROTOCOL}`);
  }
  return client;
}

async function cancellable<T>(
  signal: AbortSignal | undefined,
  cancel: () => void,
  answer: Promise<T>,
): Promise<T> {
  signal?.addEventListener('abort', cancel);
  if (signal?.aborted) cancel();
  try {
    return await answer;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}
