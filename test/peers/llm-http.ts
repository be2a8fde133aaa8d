import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A wire-level peer for what aimock cannot do: it answers as the test says and watches how requests end. */
export interface LlmPeer extends AsyncDisposable {
  url: string;
  /** Bodies of the requests to the model, parsed. */
  readonly bodies: unknown[];
  /** Resolves when the client closed the connection of a request that was not yet answered in full. */
  readonly hungUp: Promise<void>;
}

export interface PeerAnswer {
  status?: number;
  headers?: Record<string, string>;
  /** Written one after the other. */
  chunks: readonly (string | Uint8Array)[];
  /** `hold`: keep the response open. */
  then?: 'end' | 'hold';
}

export async function startLlmPeer(answer: (path: string, body: unknown) => PeerAnswer): Promise<LlmPeer> {
  const bodies: unknown[] = [];
  const hungUp = Promise.withResolvers<void>();
  const server = createServer(async (request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) hungUp.resolve();
    });
    const body = await readBody(request);
    if (request.method === 'POST') bodies.push(body);
    await reply(response, answer(request.url ?? '/', body));
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    hungUp: hungUp.promise,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? undefined : JSON.parse(text);
}

async function reply(response: ServerResponse, { status = 200, headers = {}, chunks, then }: PeerAnswer) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  for (const chunk of chunks) await new Promise((resolve) => response.write(chunk, resolve));
  if (then !== 'hold') response.end();
}

/** An address where nothing listens. */
export async function deadAddress(): Promise<string> {
  const peer = await startLlmPeer(() => ({ chunks: [] }));
  const { url } = peer;
  await peer[Symbol.asyncDispose]();
  return url;
}
