import type { IncomingMessage, RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { type APIMessage, ChannelType, GatewayDispatchEvents, MessageFlags } from 'discord-api-types/v10';
import {
  checkCallback,
  checkCommands,
  checkMessage,
  checkThread,
  type InteractionAnswer,
  mentionsIn,
  numberComponents,
  Refusal,
  type RegisteredCommand,
  resolveMedia,
} from './discord-checks.ts';
import { withheld } from './discord-gateway.ts';
import type { PeerChannel, World } from './discord-world.ts';

export interface RestRequest {
  method: string;
  path: string;
  body: unknown;
  files: readonly UploadedFile[];
}

export interface UploadedFile {
  /** The number in its part's name, `files[0]`. */
  index: number;
  name: string;
  bytes: Buffer;
}

/** How the next matching request ends, in place of its answer. */
export interface Fault {
  method: string;
  path: RegExp;
  /** `cut`: done, but the connection breaks before the answer. */
  end: 'cut' | { status: number; code: number; message: string; retryAfter?: number };
}

const HOUR_MS = 3_600_000;

interface Route {
  method: string;
  path: RegExp;
  /** The answer's body; undefined is 204. `ids` are the path's groups. */
  answer(ids: string[], body: unknown, query: URLSearchParams, files: readonly UploadedFile[]): unknown;
  open?: boolean;
}

/** Discord's REST API as far as a bot that talks needs it, refusing what Discord refuses. */
export function createDiscordRest(deps: {
  world: World;
  gatewayUrl: () => string;
  /** Whether the bot may attach files. */
  takesFiles: () => boolean;
  /** A bot without that intent gets the same gaps from REST. */
  readsContent: () => boolean;
  interactions: Map<string, { token: string; answers: InteractionAnswer[] }>;
  onCommands: (commands: RegisteredCommand[]) => void;
  onMessage: (message: APIMessage) => void;
  onChannel: (event: GatewayDispatchEvents, channel: PeerChannel) => void;
}): { listener: RequestListener; requests: RestRequest[]; faults: Fault[] } {
  const { world } = deps;
  const requests: RestRequest[] = [];
  const faults: Fault[] = [];
  const nonces = new Map<string, APIMessage>();

  const channelOf = (id = ''): PeerChannel => {
    const channel = world.channels.get(id);
    if (!channel) throw new Refusal(404, 10003, 'Unknown Channel');
    return channel;
  };
  const messageOf = (channel: PeerChannel, id = ''): APIMessage => {
    const message = channel.messages.find((candidate) => candidate.id === id);
    if (!message) throw new Refusal(404, 10008, 'Unknown Message');
    return message;
  };
  const told = (message: APIMessage, channel: PeerChannel) =>
    deps.readsContent()
      ? message
      : withheld(
          { ...message, ...(channel.guild === undefined ? {} : { guild_id: channel.guild }) },
          world.ids.bot,
        );

  const components = (
    message: ReturnType<typeof checkMessage>,
    found: ReadonlyMap<string, string> = new Map(),
  ) =>
    // The schemas above have checked that they are components; the numbering keeps their shape.
    numberComponents(resolveMedia(message.components ?? [], found)) as NonNullable<APIMessage['components']>;

  /**
   * Keeps what is uploaded with a message, and of what it had that which the request names (all, when it names none).
   * Returns the addresses by name.
   */
  function attach(
    message: string,
    channel: string,
    named: ReturnType<typeof checkMessage>['attachments'],
    uploaded: readonly UploadedFile[],
  ): Map<string, string> {
    if (uploaded.length > 0 && !deps.takesFiles()) throw new Refusal(403, 50013, 'Missing Permissions');
    for (const [id, file] of world.files)
      if (file.message === message && named && !named.some((one) => one.id === id)) file.message = '';
    for (const { index, name, bytes } of uploaded) {
      if (named && !named.some((one) => Number(one.id) === index))
        throw new Refusal(400, 50035, 'Invalid Form Body', { attachments: `nothing names file ${index}` });
      world.files.set(world.snowflake(), { message, name, bytes });
    }
    return new Map(
      [...world.files].flatMap(([id, file]): [string, string][] =>
        file.message === message
          ? [[file.name, `https://cdn.discordapp.com/attachments/${channel}/${id}/${file.name}?ex=1`]]
          : [],
      ),
    );
  }

  const routes: Route[] = [
    {
      method: 'GET',
      path: /^\/gateway\/bot$/,
      answer: () => ({
        url: deps.gatewayUrl(),
        shards: 1,
        session_start_limit: { total: 1000, remaining: 999, reset_after: 14_400_000, max_concurrency: 1 },
      }),
    },
    { method: 'GET', path: /^\/users\/@me$/, answer: () => world.bot },
    {
      method: 'GET',
      path: /^\/guilds\/(\d+)\/members\/(\d+)$/,
      answer([guild, id = '']) {
        const person = world.people.get(id);
        if (guild !== world.ids.guild) throw new Refusal(404, 10004, 'Unknown Guild');
        if (!person) throw new Refusal(404, 10007, 'Unknown Member');
        return world.member(person);
      },
    },
    { method: 'GET', path: /^\/channels\/(\d+)$/, answer: ([id]) => world.channelPayload(channelOf(id)) },
    {
      method: 'GET',
      path: /^\/channels\/(\d+)\/messages$/,
      answer([id], _, query) {
        const channel = channelOf(id);
        const limit = Number(query.get('limit') ?? 50);
        if (limit < 1 || limit > 100) throw new Refusal(400, 50035, 'Invalid Form Body', { limit });
        const after = BigInt(query.get('after') ?? 0);
        const found = channel.messages.filter((message) => BigInt(message.id) > after);
        // With `after` the oldest of those, otherwise the newest; either way newest first.
        const page = query.has('after') ? found.slice(0, limit) : found.slice(-limit);
        return page.toReversed().map((message) => told(message, channel));
      },
    },
    {
      method: 'GET',
      path: /^\/channels\/(\d+)\/messages\/(\d+)$/,
      answer([id, message]) {
        const channel = channelOf(id);
        return told(messageOf(channel, message), channel);
      },
    },
    {
      method: 'POST',
      path: /^\/channels\/(\d+)\/messages$/,
      answer([id], body, _, files) {
        const channel = channelOf(id);
        const message = checkMessage(body, 'create');
        const nonce =
          message.nonce === undefined || message.nonce === null ? undefined : String(message.nonce);
        const earlier =
          message.enforce_nonce && nonce !== undefined ? nonces.get(`${id}/${nonce}`) : undefined;
        if (earlier) return earlier;
        const own = world.snowflake();
        const found = attach(own, channel.id, message.attachments, files);
        const added = world.addMessage(channel, {
          author: world.bot,
          content: message.content ?? '',
          flags: message.flags ?? 0,
          components: components(message, found),
          ...(nonce === undefined ? {} : { nonce }),
        });
        for (const file of world.files.values()) if (file.message === own) file.message = added.id;
        if (nonce !== undefined) nonces.set(`${id}/${nonce}`, added);
        world.mentioned.set(added.id, mentionsIn(message));
        deps.onMessage(added);
        return added;
      },
    },
    {
      method: 'PATCH',
      path: /^\/channels\/(\d+)\/messages\/(\d+)$/,
      answer([id, messageId], body, _, files) {
        const channel = channelOf(id);
        const message = messageOf(channel, messageId);
        if (message.author.id !== world.ids.bot) {
          throw new Refusal(403, 50005, 'Cannot edit a message authored by another user');
        }
        if (channel.archived) throw new Refusal(400, 50083, 'Thread is archived');
        if (Date.now() - Date.parse(message.timestamp) > HOUR_MS) {
          const text = 'Maximum number of edits to messages older than 1 hour reached. Try again later.';
          throw new Refusal(429, 30046, text, undefined, 1);
        }
        const edit = checkMessage(body, 'edit');
        const wasV2 = ((message.flags ?? 0) & MessageFlags.IsComponentsV2) !== 0;
        if (wasV2 && ((edit.flags ?? MessageFlags.IsComponentsV2) & MessageFlags.IsComponentsV2) === 0) {
          throw new Refusal(400, 50035, 'Invalid Form Body', { flags: 'IS_COMPONENTS_V2 cannot be removed' });
        }
        const found = attach(message.id, channel.id, edit.attachments, files);
        if (edit.components) message.components = components(edit, found);
        if (typeof edit.content === 'string') message.content = edit.content;
        message.edited_timestamp = new Date().toISOString();
        world.mentioned.set(message.id, mentionsIn(edit));
        return message;
      },
    },
    {
      method: 'PUT',
      path: /^\/channels\/(\d+)\/messages\/(\d+)\/reactions\/([^/]+)\/@me$/,
      answer([id, messageId, emoji = '']) {
        const channel = channelOf(id);
        const message = messageOf(channel, messageId);
        if (channel.archived) throw new Refusal(400, 50083, 'Thread is archived');
        const name = decodeURIComponent(emoji);
        if (!/^\p{RGI_Emoji}$/v.test(name)) throw new Refusal(400, 10014, 'Unknown Emoji');
        const given = world.reactions.get(message.id) ?? [];
        if (!given.includes(name)) world.reactions.set(message.id, [...given, name]);
        return undefined;
      },
    },
    {
      method: 'POST',
      path: /^\/channels\/(\d+)\/messages\/(\d+)\/threads$/,
      answer([id, messageId], body) {
        const channel = channelOf(id);
        const message = messageOf(channel, messageId);
        const { name } = checkThread(body);
        if (channel.type !== ChannelType.GuildText && channel.type !== ChannelType.GuildAnnouncement) {
          throw new Refusal(400, 50024, 'Cannot execute action on this channel type');
        }
        if (world.channels.has(message.id)) {
          throw new Refusal(400, 160004, 'A thread has already been created for this message');
        }
        const thread = world.addChannel({
          id: message.id,
          type: ChannelType.PublicThread,
          name,
          guild: channel.guild,
          parent: channel.id,
        });
        message.flags = (message.flags ?? 0) | MessageFlags.HasThread;
        deps.onChannel(GatewayDispatchEvents.ThreadCreate, thread);
        return world.channelPayload(thread);
      },
    },
    {
      method: 'PUT',
      path: /^\/applications\/(\d+)\/commands$/,
      answer([application], body) {
        if (application !== world.ids.application)
          throw new Refusal(403, 20012, 'Not authorized for this application');
        const commands = checkCommands(body);
        deps.onCommands(commands);
        return commands.map((command) => ({
          ...command,
          id: world.snowflake(),
          application_id: application,
        }));
      },
    },
    {
      method: 'POST',
      path: /^\/interactions\/(\d+)\/([^/]+)\/callback$/,
      open: true,
      answer([id = '', token], body) {
        const interaction = deps.interactions.get(id);
        if (!interaction || interaction.token !== token) throw new Refusal(404, 10062, 'Unknown interaction');
        const answer = checkCallback(body);
        if (interaction.answers.length > 0) {
          throw new Refusal(400, 40060, 'Interaction has already been acknowledged.');
        }
        interaction.answers.push(answer);
        return undefined;
      },
    },
  ];

  function respond(
    request: IncomingMessage,
    path: string,
    query: URLSearchParams,
    { body, files }: Pick<RestRequest, 'body' | 'files'>,
  ): unknown {
    const route = routes.find(
      (candidate) => candidate.method === request.method && candidate.path.test(path),
    );
    if (!route) throw new Refusal(404, 0, `404: Not Found (the local peer has no ${request.method} ${path})`);
    if (!route.open && request.headers.authorization !== `Bot ${world.token}`) {
      throw new Refusal(401, 0, '401: Unauthorized');
    }
    return route.answer(route.path.exec(path)?.slice(1) ?? [], body, query, files);
  }

  const listener: RequestListener = (request, response) => {
    const url = new URL(request.url ?? '/', 'http://peer');
    const path = url.pathname.replace(/^\/api\/v10/, '');
    const method = request.method ?? 'GET';
    const json = (status: number, value: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(value));
    };
    const refuse = (refusal: Refusal) => {
      const wait = refusal.retryAfter;
      json(
        refusal.status,
        {
          message: refusal.message,
          code: refusal.code,
          ...(refusal.errors === undefined ? {} : { errors: refusal.errors }),
          ...(wait === undefined ? {} : { retry_after: wait, global: false }),
        },
        wait === undefined ? {} : { 'retry-after': String(wait), 'x-ratelimit-scope': 'shared' },
      );
    };
    const serve = async () => {
      const said = await read(request);
      requests.push({ method, path, ...said });
      const index = faults.findIndex((fault) => fault.method === method && fault.path.test(path));
      const [fault] = index < 0 ? [] : faults.splice(index, 1);
      if (fault && fault.end !== 'cut') {
        const { status, code, message, retryAfter } = fault.end;
        throw new Refusal(status, code, message, undefined, retryAfter);
      }
      const answer = respond(request, path, url.searchParams, said);
      if (fault) {
        request.socket.destroy();
      } else if (answer === undefined) {
        // discord.js would try to parse a 204 that names a content type.
        response.writeHead(204).end();
      } else {
        json(200, answer);
      }
    };
    serve().catch((error: unknown) => {
      if (error instanceof Refusal) refuse(error);
      else json(500, { message: String(error), code: 0 });
    });
  };
  return { listener, requests, faults };
}

/** JSON, alone or with files: https://docs.discord.com/developers/reference#uploading-files. */
async function read(request: IncomingMessage): Promise<{ body: unknown; files: UploadedFile[] }> {
  const raw = await buffer(request);
  const type = request.headers['content-type'] ?? '';
  if (!type.startsWith('multipart/form-data'))
    return { body: raw.length === 0 ? undefined : JSON.parse(raw.toString()), files: [] };
  const form = await new Response(new Uint8Array(raw), { headers: { 'content-type': type } }).formData();
  const files: UploadedFile[] = [];
  for (const [field, value] of form) {
    const index = /^files\[(\d+)\]$/.exec(field)?.[1];
    if (index !== undefined && value instanceof File)
      files.push({
        index: Number(index),
        name: value.name,
        bytes: Buffer.from(await value.arrayBuffer()),
      });
  }
  return { body: JSON.parse(String(form.get('payload_json') ?? '{}')), files };
}
