import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import {
  type APIMessage,
  GatewayCloseCodes,
  type GatewayDispatchEvents,
  GatewayIntentBits,
  type GatewayMessageCreateDispatchData,
  GatewayOpcodes,
} from 'discord-api-types/v10';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';

const commandSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal(GatewayOpcodes.Heartbeat), d: z.number().nullable() }),
  z.object({
    op: z.literal(GatewayOpcodes.Identify),
    d: z.looseObject({ token: z.string(), intents: z.number() }),
  }),
  z.object({
    op: z.literal(GatewayOpcodes.Resume),
    d: z.object({ token: z.string(), session_id: z.string(), seq: z.number() }),
  }),
  z.object({ op: z.literal(GatewayOpcodes.PresenceUpdate), d: z.unknown() }),
]);

interface Session {
  id: string;
  intents: number;
  sequence: number;
  /** Everything sent, so that a resumed connection gets what it missed. */
  log: { s: number; t: string; d: unknown }[];
  socket: WebSocket | undefined;
}

export interface PeerGateway extends AsyncDisposable {
  readonly url: string;
  /** To every session that asked for such events, `times` times over. */
  dispatch(event: GatewayDispatchEvents, data: object, needs: number, times: number): void;
  dispatchMessage(message: GatewayMessageCreateDispatchData, times: number): void;
  /** Closes every connection; the bot may resume its session, unless `forget`. */
  drop(how?: { forget: boolean }): void;
  /** Holds events back; `release` sends them in this order (default: the last first). */
  hold(): void;
  release(order?: <T>(all: T[]) => T[]): void;
  /** Open connections. */
  connections(): number;
}

/** Discord's side of the gateway protocol, version 10 in JSON without compression. */
export function createPeerGateway(deps: {
  server: Server;
  token: string;
  bot: string;
  url: string;
  /** Privileged intents the application was granted. */
  allowsMessageContent: () => boolean;
  /** What a new session is told first: READY's data without the session, then the servers. */
  greet: () => { ready: object; guilds: object[] };
}): PeerGateway {
  const sessions = new Map<string, Session>();
  const sockets = new WebSocketServer({ server: deps.server });

  const send = (socket: WebSocket, payload: object) => socket.send(JSON.stringify(payload));

  function emit(session: Session, t: string, d: unknown): void {
    session.sequence += 1;
    const event = { s: session.sequence, t, d };
    session.log.push(event);
    if (session.socket?.readyState === session.socket?.OPEN && session.socket) {
      send(session.socket, { op: GatewayOpcodes.Dispatch, ...event });
    }
  }

  let held: (() => void)[] | undefined;
  function tell(session: Session, t: string, d: unknown): void {
    if (held) held.push(() => emit(session, t, d));
    else emit(session, t, d);
  }

  function identify(socket: WebSocket, token: string, intents: number): Session | undefined {
    if (token !== deps.token) {
      socket.close(GatewayCloseCodes.AuthenticationFailed);
      return undefined;
    }
    if (intents & GatewayIntentBits.MessageContent && !deps.allowsMessageContent()) {
      socket.close(GatewayCloseCodes.DisallowedIntents);
      return undefined;
    }
    const session: Session = { id: randomUUID(), intents, sequence: 0, log: [], socket };
    sessions.set(session.id, session);
    const { ready, guilds } = deps.greet();
    emit(session, 'READY', { ...ready, session_id: session.id, resume_gateway_url: deps.url });
    if (intents & GatewayIntentBits.Guilds) for (const guild of guilds) emit(session, 'GUILD_CREATE', guild);
    return session;
  }

  function resume(socket: WebSocket, id: string, seq: number): Session | undefined {
    const session = sessions.get(id);
    if (!session) {
      send(socket, { op: GatewayOpcodes.InvalidSession, d: false });
      return undefined;
    }
    session.socket = socket;
    for (const event of session.log.filter((entry) => entry.s > seq)) {
      send(socket, { op: GatewayOpcodes.Dispatch, ...event });
    }
    emit(session, 'RESUMED', {});
    return session;
  }

  sockets.on('connection', (socket) => {
    let session: Session | undefined;
    send(socket, { op: GatewayOpcodes.Hello, d: { heartbeat_interval: 45_000 } });
    socket.on('message', (data) => {
      const command = commandSchema.safeParse(JSON.parse(String(data)));
      if (!command.success) {
        socket.close(GatewayCloseCodes.DecodeError);
        return;
      }
      switch (command.data.op) {
        case GatewayOpcodes.Heartbeat:
          send(socket, { op: GatewayOpcodes.HeartbeatAck });
          break;
        case GatewayOpcodes.Identify:
          session = identify(socket, command.data.d.token, command.data.d.intents);
          break;
        case GatewayOpcodes.Resume:
          session = resume(socket, command.data.d.session_id, command.data.d.seq);
          break;
      }
    });
    socket.on('close', (code) => {
      if (session?.socket !== socket) return;
      session.socket = undefined;
      // A bot that says goodbye ends its session.
      if (code === 1000 || code === 1001) sessions.delete(session.id);
    });
  });

  const gateway: PeerGateway = {
    url: deps.url,
    dispatch(event, data, needs, times) {
      for (const session of sessions.values()) {
        if (needs !== 0 && (session.intents & needs) === 0) continue;
        for (let time = 0; time < times; time++) tell(session, event, data);
      }
    },
    dispatchMessage(message, times) {
      const needs = message.guild_id ? GatewayIntentBits.GuildMessages : GatewayIntentBits.DirectMessages;
      for (const session of sessions.values()) {
        if ((session.intents & needs) === 0) continue;
        const seen =
          session.intents & GatewayIntentBits.MessageContent ? message : withheld(message, deps.bot);
        for (let time = 0; time < times; time++) tell(session, 'MESSAGE_CREATE', seen);
      }
    },
    drop(how) {
      if (how?.forget) sessions.clear();
      for (const socket of sockets.clients) socket.close(4000);
    },
    hold() {
      held ??= [];
    },
    release(order = (all) => all.toReversed()) {
      const all = held ?? [];
      held = undefined;
      for (const emitHeld of order(all)) emitHeld();
    },
    connections: () => sockets.clients.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate();
      await new Promise<void>((resolve) => sockets.close(() => resolve()));
    },
  };
  return gateway;
}

/** What a bot without the message content intent sees: text only where it is mentioned, its own, or in private. */
export function withheld<M extends APIMessage & { guild_id?: string }>(message: M, bot: string): M {
  const told =
    message.guild_id === undefined ||
    message.author.id === bot ||
    message.mentions.some((user) => user.id === bot);
  return told ? message : { ...message, content: '', attachments: [], embeds: [], components: [] };
}
