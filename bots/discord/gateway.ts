import {
  type APIInteraction,
  Client,
  Events,
  GatewayCloseCodes,
  GatewayDispatchEvents,
  GatewayIntentBits,
  type GatewayMessageCreateDispatchData,
  Options,
  type RESTOptions,
  Status,
} from 'discord.js';
import { SurfaceError } from '#core/conversations/surface.ts';
import type { Logger } from '#observability/log.ts';
import { CATCH_UP_MS } from './catch-up.ts';
import type { Incoming } from './incoming.ts';

/** Clocks differ, and Discord may be late: catching up begins this long before the last thing we heard. */
const OVERLAP_MS = 60_000;

export interface Gateway extends AsyncDisposable {
  /** Resolves with our application's id when messages arrive. */
  connect(): Promise<string>;
  status(): { connected: boolean; detail: string };
}

/** The connection over which Discord tells us things. discord.js keeps it: heartbeats, resuming, new sessions. */
export function createGateway(deps: {
  token: string | undefined;
  rest: Partial<RESTOptions>;
  messageContent: boolean;
  incoming: Incoming;
  log: Logger;
}): Gateway {
  const { token, incoming, log } = deps;
  const closing = new AbortController();
  const underway = new Set<Promise<void>>();
  let client: Client<true> | undefined;
  let problem = token === undefined ? 'DISCORD_TOKEN is not set' : 'not started';
  let messageContent = deps.messageContent;
  let heardAt = 0;

  /** Runs work that an event started; its failure is logged here, and disposal waits for it. */
  function track(work: Promise<void>, failure: string): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => log.error({ err: error }, failure))
      .finally(() => underway.delete(tracked));
    underway.add(tracked);
  }

  function listen(to: Client): void {
    // The wire's own payloads: they hold what is needed, for channels no cache knows, too.
    to.ws.on(GatewayDispatchEvents.MessageCreate, (message: GatewayMessageCreateDispatchData) => {
      heardAt = Date.now();
      track(incoming.message(to, message, message.guild_id, message.member), 'a Discord message was lost');
    });
    to.ws.on(GatewayDispatchEvents.InteractionCreate, (interaction: APIInteraction) => {
      heardAt = Date.now();
      track(incoming.interaction(interaction), 'a Discord interaction failed');
    });
    // A new session, not a resumed one: what was said before it is not replayed.
    to.on(Events.ShardReady, () => {
      const since = Math.max(Date.now() - CATCH_UP_MS, heardAt - OVERLAP_MS);
      track(incoming.catchUp(to, since, closing.signal), 'catching up failed');
    });
    to.on(Events.ShardDisconnect, ({ code }) => {
      if (closing.signal.aborted) return;
      problem = `Discord closed the connection for good: ${GatewayCloseCodes[code] ?? code}`;
      log.error({ code }, problem);
    });
    to.on(Events.ShardReconnecting, () => log.info({}, 'reconnecting to Discord'));
    to.on(Events.ShardError, (error) => log.warn({ err: error }, 'the Discord gateway failed'));
    to.on(Events.Error, (error) => log.error({ err: error }, 'discord.js failed'));
    to.on(Events.Warn, (message) => log.warn({}, message));
  }

  /** A connected client, or the close code with which Discord refused us for good. */
  async function attempt(): Promise<Client<true> | GatewayCloseCodes> {
    const fresh = new Client({
      intents: [
        GatewayIntentBits.Guilds,
        GatewayIntentBits.GuildMessages,
        GatewayIntentBits.DirectMessages,
        ...(messageContent ? [GatewayIntentBits.MessageContent] : []),
      ],
      rest: deps.rest,
      // Nobody asks for old messages: a cache of them is memory.
      makeCache: Options.cacheWithLimits({ ...Options.DefaultMakeCacheSettings, MessageManager: 0 }),
    });
    listen(fresh);
    const settled = new Promise<Client<true> | GatewayCloseCodes>((resolve) => {
      fresh.once(Events.ClientReady, resolve);
      fresh.once(Events.ShardDisconnect, ({ code }) => resolve(code));
    });
    try {
      // Logging in fails when the token or the way to Discord is bad, and is done before the client is ready.
      const result = await Promise.race([settled, fresh.login(token).then(() => settled)]);
      if (!(result instanceof Client)) await fresh.destroy();
      return result;
    } catch (error) {
      await fresh.destroy();
      problem = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  return {
    async connect() {
      if (token === undefined) throw new SurfaceError('invalid', problem);
      let result = await attempt();
      if (result === GatewayCloseCodes.DisallowedIntents && messageContent) {
        log.warn(
          {},
          'Discord does not allow this bot the message content intent (Developer Portal, Bot, Privileged Gateway Intents): it reads only mentions, commands and direct messages',
        );
        messageContent = false;
        result = await attempt();
      }
      if (!(result instanceof Client)) throw new SurfaceError('forbidden', problem);
      client = result;
      return client.application.id;
    },

    status() {
      if (!client || client.ws.status === Status.Disconnected) return { connected: false, detail: problem };
      if (client.ws.status !== Status.Ready) return { connected: false, detail: 'reconnecting' };
      const servers = client.guilds.cache.size;
      const where = `${client.user.tag} in ${servers} server${servers === 1 ? '' : 's'}`;
      return { connected: true, detail: messageContent ? where : `${where}, mentions and commands only` };
    },

    async [Symbol.asyncDispose]() {
      closing.abort();
      await client?.destroy();
      client = undefined;
      problem = 'stopped';
      await Promise.all(underway);
    },
  };
}
