import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { WebSocketServer } from 'ws';
import { blockProblems, imagesIn, isTooLong } from './slack-blocks.ts';

export interface ApiCall {
  method: string;
  body: Record<string, unknown>;
  /** `ok`, or the error Slack answered with, or an HTTP status. */
  outcome: string;
  at: number;
}

/** The next `times` calls of `method` fail. */
export interface SlackFault {
  method: string;
  times: number;
  /** Slack's word, with HTTP 200. */
  error?: string;
  status?: number;
  /** Seconds; answers 429. */
  retryAfter?: number;
  /** The call has its effect; only its answer is lost. */
  after?: boolean;
}

export interface PeerUser {
  id: string;
  name: string;
  token: string;
  /** Overrides what `users.info` says: `is_restricted`, `team_id`, … */
  flags: Record<string, unknown>;
}

export type Json = Record<string, unknown>;

/**
 * A thin HTTP edge in front of emulate's Slack. It counts calls, checks what emulate lets pass (blocks, metadata), pages
 * replies, and adds the methods and the Socket Mode door that emulate lacks.
 */
export async function createSlackEdge(deps: {
  emulator: string;
  botToken: string;
  appToken: string;
  users: readonly PeerUser[];
  groups: ReadonlyMap<string, ReadonlySet<string>>;
  onSocket: (socket: import('ws').WebSocket) => void;
}) {
  const calls: ApiCall[] = [];
  const faults: SlackFault[] = [];
  const changes = new EventEmitter<{ call: [ApiCall, Json] }>();
  changes.setMaxListeners(0);
  let port = 0;
  /** By Slack's id: the bytes that arrived, of uploads that were completed or not yet. */
  const files = new Map<string, { bytes: Buffer; completed: boolean }>();

  /** emulate's own answer. */
  async function ask(method: string, token: string, body: Json): Promise<Json> {
    const response = await fetch(`${deps.emulator}/api/${method}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json; charset=utf-8' },
      body: JSON.stringify(body),
    });
    if (!response.ok)
      return { ok: false, error: response.status === 404 ? 'unknown_method' : `http_${response.status}` };
    return (await response.json()) as Json;
  }

  const own: Record<string, (body: Json, token: string) => Json | undefined | Promise<Json | undefined>> = {
    'apps.connections.open': (_, token) =>
      token === deps.appToken
        ? { ok: true, url: `ws://127.0.0.1:${port}/link/?ticket=local` }
        : refused('not_allowed_token_type'),
    'usergroups.users.list': (body) => {
      const users = deps.groups.get(String(body.usergroup));
      return users ? { ok: true, users: [...users] } : refused('no_such_subteam');
    },
    'users.info': async (body, token) => {
      const answer = await ask('users.info', token, body);
      const user = deps.users.find(({ id }) => id === body.user);
      return user && isJson(answer.user) ? { ...answer, user: { ...answer.user, ...user.flags } } : answer;
    },
    'conversations.replies': async (body, token) => {
      const answer = await ask('conversations.replies', token, body);
      const all = messagesIn(answer);
      if (answer.ok === true && all.length === 0) return refused('thread_not_found');
      const from = Number(body.cursor ?? 0);
      const size = Number(body.limit ?? 1000);
      const page = all.slice(from, from + size).map((message) => withoutMetadata(message, body));
      const next = from + size < all.length ? String(from + size) : '';
      return { ...answer, messages: page, has_more: next !== '', response_metadata: { next_cursor: next } };
    },
    'conversations.history': async (body, token) => {
      const answer = await ask('conversations.history', token, body);
      return { ...answer, messages: messagesIn(answer).map((message) => withoutMetadata(message, body)) };
    },
    'chat.postMessage': (body) => messageProblem(body) ?? fileProblem(body),
    'chat.update': (body) => messageProblem(body) ?? fileProblem(body),
    'files.getUploadURLExternal': async (body, token) => {
      const answer = await ask('files.getUploadURLExternal', token, body);
      return answer.ok === true
        ? { ...answer, upload_url: `http://127.0.0.1:${port}/upload/v1/${String(answer.file_id)}` }
        : answer;
    },
    'files.completeUploadExternal': async (body, token) => {
      const answer = await ask('files.completeUploadExternal', token, body);
      if (answer.ok === true && Array.isArray(body.files))
        for (const { id } of body.files as Json[]) {
          const file = files.get(String(id));
          if (file) file.completed = true;
        }
      return answer;
    },
  };

  function fileProblem(body: Json): Json | undefined {
    const missing = imagesIn(body.blocks).filter(({ file }) => files.get(file)?.completed !== true);
    return missing.length > 0 ? refused('invalid_blocks', ['invalid slack file']) : undefined;
  }

  const known = (token: string): boolean =>
    token === deps.botToken || token === deps.appToken || deps.users.some((user) => user.token === token);

  async function answerTo(method: string, token: string, body: Json): Promise<Json> {
    // emulate takes an unknown token for its first user's.
    if (!known(token)) return refused('invalid_auth');
    return (await own[method]?.(body, token)) ?? ask(method, token, body);
  }

  const app = new Hono();
  app.post('/api/:method', async (context) => {
    const method = context.req.param('method');
    const body = bodyOf(await context.req.text(), context.req.header('content-type') ?? '');
    const token = (context.req.header('authorization') ?? '').replace(/^Bearer /, '');
    const call: ApiCall = { method, body, outcome: 'ok', at: performance.now() };
    calls.push(call);
    const fault = faults.find((one) => one.method === method && one.times > 0);
    if (fault) {
      fault.times -= 1;
      call.outcome = fault.error ?? String(fault.status ?? 429);
      if (fault.after) changes.emit('call', call, await answerTo(method, token, body));
      if (fault.error) return context.json(refused(fault.error));
      if (fault.retryAfter !== undefined)
        return context.json(refused('ratelimited'), 429, { 'retry-after': String(fault.retryAfter) });
      return new Response('upstream failed', { status: fault.status ?? 500 });
    }
    const answer = await answerTo(method, token, body);
    if (answer.ok !== true) call.outcome = String(answer.error);
    changes.emit('call', call, answer);
    if (answer.error === 'unknown_method') return context.json(answer, 404);
    return context.json(answer);
  });

  app.post('/upload/v1/:file', async (context) => {
    const type = context.req.header('content-type') ?? '';
    const raw = await context.req.arrayBuffer();
    const bytes = Buffer.from(raw);
    const file = context.req.param('file');
    const form = type.startsWith('multipart/')
      ? await new Response(raw, { headers: { 'content-type': type } }).formData()
      : undefined;
    const [part] = [...(form?.values() ?? [])].filter((value) => value instanceof File);
    files.set(file, { bytes: part ? Buffer.from(await part.arrayBuffer()) : bytes, completed: false });
    const answer = await fetch(`${deps.emulator}/upload/v1/${file}`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: raw,
    });
    return context.text(await answer.text(), answer.ok ? 200 : 400);
  });

  const listening = Promise.withResolvers<number>();
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, (info) =>
    listening.resolve(info.port),
  ) as Server;
  const door = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (!request.url?.startsWith('/link/')) socket.destroy();
    else door.handleUpgrade(request, socket, head, (ws) => deps.onSocket(ws));
  });
  port = await listening.promise;

  return {
    /** For SLACK_API_URL. */
    url: `http://127.0.0.1:${port}/api/`,
    calls,
    files,
    faults,
    changes,
    ask,
    async close(): Promise<void> {
      for (const client of door.clients) client.terminate();
      door.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const refused = (error: string, messages?: string[]): Json => ({
  ok: false,
  error,
  ...(messages ? { response_metadata: { messages } } : {}),
});

const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const messagesIn = (answer: Json): Json[] => {
  const messages = answer.messages;
  return Array.isArray(messages) ? messages.filter(isJson) : [];
};

function withoutMetadata(message: Json, query: Json): Json {
  if (query.include_all_metadata === true || query.include_all_metadata === 'true') return message;
  const { metadata: _, ...rest } = message;
  return rest;
}

/** Forms carry objects as JSON text. */
function bodyOf(raw: string, type: string): Json {
  if (type.includes('application/json')) return JSON.parse(raw || '{}') as Json;
  const out: Json = {};
  for (const [name, value] of new URLSearchParams(raw))
    out[name] = /^[[{]/.test(value) && name !== 'text' ? JSON.parse(value) : value;
  return out;
}

function messageProblem(body: Json): Json | undefined {
  const { blocks, metadata } = body;
  if (blocks !== undefined) {
    const problems = blockProblems(blocks);
    if (problems.length > 0) return refused('invalid_blocks', problems);
    if (isTooLong(blocks)) return refused('msg_blocks_too_long');
  }
  if (metadata !== undefined) {
    const sound =
      isJson(metadata) && typeof metadata.event_type === 'string' && isJson(metadata.event_payload);
    if (!sound) return refused('invalid_metadata_format');
  }
  return undefined;
}
