import { createServer, type Server, type Socket } from 'node:net';
import { SandboxError } from '../sandbox.ts';
import { createFrameReader, encodeFrame, PROTOCOL, type Request, type Response } from './frames.ts';
import type { RunningPipe } from './pipe.ts';
import type { Workspace } from './workspace.ts';

/** Live output past this backlog is dropped: a core that does not read must not slow the command it runs. */
const MAX_BACKLOG = 1_048_576;

/** Serves a workspace over a socket, to any number of clients. */
export const createAgentServer = (workspace: Workspace): Server =>
  createServer({ allowHalfOpen: false }, (socket) => serve(workspace, socket));

function serve(workspace: Workspace, socket: Socket): void {
  const read = createFrameReader<Request>();
  const running = new Map<number, { controller: AbortController; survives: boolean }>();
  const inputs = new Map<number, InputQueue>();

  const send = (response: Response, bytes?: Buffer): boolean =>
    socket.writable ? socket.write(encodeFrame(response, bytes)) : true;

  const perform = async (request: Request, bytes: Buffer, signal: AbortSignal): Promise<Answer> => {
    const { id } = request;
    const { files } = workspace;
    switch (request.op) {
      case 'hello':
        return { value: PROTOCOL };
      case 'exec': {
        const live = (text: string): void => {
          if (socket.writableLength < MAX_BACKLOG) send({ id, type: 'output' }, Buffer.from(text));
        };
        const onOutput = request.live ? live : undefined;
        return { value: await workspace.exec(request.command, { ...request.options, signal, onOutput }) };
      }
      case 'pipe': {
        const pipe = await workspace.pipe(request.argv, { cwd: request.cwd, env: request.env, signal });
        inputs.get(id)?.connect(pipe);
        const reading = (async () => {
          for await (const chunk of pipe.stdout) {
            if (!send({ id, type: 'output' }, chunk)) await drained(socket);
          }
        })();
        const [exit] = await Promise.all([pipe.exit, reading]);
        return { value: exit };
      }
      case 'read':
        return { bytes: await files.read(request.path) };
      case 'write':
        return { value: await files.write(request.path, bytes) };
      case 'remove':
        return { value: await files.remove(request.path) };
      case 'makeDirectory':
        return { value: await files.makeDirectory(request.path) };
      case 'list':
        return { value: await files.list(request.path, request.options) };
      case 'search':
        return { value: await files.search(request.options) };
      case 'stdin':
      case 'cancel':
        return {};
    }
  };

  const handle = async (request: Request, bytes: Buffer): Promise<void> => {
    const { id } = request;
    if (request.op === 'stdin') return inputs.get(id)?.add(bytes);
    if (request.op === 'cancel') return running.get(id)?.controller.abort();
    const controller = new AbortController();
    if (request.op === 'exec' && request.aborted) controller.abort();
    running.set(id, { controller, survives: request.op === 'exec' && request.options.key !== undefined });
    if (request.op === 'pipe') inputs.set(id, createInputQueue());
    try {
      const answer = await perform(request, bytes, controller.signal);
      send({ id, type: 'done', value: answer.value }, answer.bytes);
    } catch (error) {
      send({ id, type: 'failed', ...describe(error) });
    } finally {
      running.delete(id);
      inputs.delete(id);
    }
  };

  const fail = (error: unknown): void => {
    socket.destroy(error instanceof Error ? error : undefined);
  };
  socket.on('data', (chunk) => {
    try {
      for (const { header, bytes } of read(chunk)) handle(header, bytes).catch(fail);
    } catch (error) {
      fail(error);
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    // A command with a key goes on without its client: the next one asks for its result.
    for (const { controller, survives } of running.values()) if (!survives) controller.abort();
  });
}

interface Answer {
  value?: unknown;
  bytes?: Buffer | undefined;
}

interface InputQueue {
  add(chunk: Buffer): void;
  connect(pipe: RunningPipe): void;
}

/** Input may come before the program has started. An empty chunk is its end. */
function createInputQueue(): InputQueue {
  const early: Buffer[] = [];
  let target: RunningPipe | undefined;
  const pass = (pipe: RunningPipe, chunk: Buffer): void => {
    if (chunk.length === 0) pipe.end();
    else pipe.write(chunk);
  };
  return {
    add(chunk) {
      if (target === undefined) early.push(chunk);
      else pass(target, chunk);
    },
    connect(pipe) {
      target = pipe;
      for (const chunk of early.splice(0)) pass(pipe, chunk);
    },
  };
}

const drained = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (!socket.writable || !socket.writableNeedDrain) return resolve();
    const done = () => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });

const describe = (error: unknown): Pick<Extract<Response, { type: 'failed' }>, 'code' | 'message'> =>
  error instanceof SandboxError
    ? { code: error.code, message: error.message }
    : { code: 'io_failed', message: error instanceof Error ? error.message : String(error) };
