import {
  type APIMessage,
  REST,
  type RESTGetAPIChannelMessagesResult,
  RESTJSONErrorCodes,
  type RESTOptions,
  Routes,
} from 'discord.js';
import type { Reaction, Receive, Surface } from '#core/conversations/surface.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import type { Logger } from '#observability/log.ts';
import { inThread, messageOf, messageRef, nameFrom, placeOf } from './address.ts';
import { commands } from './commands.ts';
import { isOldEdit, refusedWith, toSurfaceError, waitOf } from './errors.ts';
import { createGateway } from './gateway.ts';
import { createIncoming } from './incoming.ts';
import { hasKey, nonceOf, renderCard } from './render.ts';
import { roleOf } from './role.ts';
import type { DiscordSettings } from './settings.ts';

const emojis: Record<Reaction, string> = { seen: '👀', done: '✅', failed: '❌' };

/** Longest wait discord.js does by itself when Discord limits us; past it the outbox decides. */
const PATIENCE_MS = 5000;
/** A week without a word; the longest Discord has. */
const ARCHIVE_MINUTES = 10_080;
const SEARCH_DEPTH = 50;
/** Of a thread when nothing better is known. */
const NAME = 'Comio';

/** Comio on Discord: we hear over the gateway and speak over REST. */
export function createDiscord(deps: { settings: DiscordSettings; receive: Receive; log: Logger }): Surface {
  const { settings, receive } = deps;
  const log = deps.log.child({ surface: 'discord' });
  const token = settings.DISCORD_TOKEN;
  const restOptions: Partial<RESTOptions> = {
    ...(settings.DISCORD_API_URL === undefined ? {} : { api: settings.DISCORD_API_URL }),
    rejectOnRateLimit: (limited) => waitOf(limited) > PATIENCE_MS || isOldEdit(limited),
  };
  const rest = new REST({ version: '10', ...restOptions });
  if (token !== undefined) rest.setToken(token);
  const gateway = createGateway({
    token,
    rest: restOptions,
    messageContent: settings.DISCORD_MESSAGE_CONTENT === 'true',
    incoming: createIncoming({ rest, receive, log }),
    log,
  });

  async function call<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw toSurfaceError(error, doing);
    }
  }

  /** By key, the message that could not be edited any more: the next one must not be taken for it. */
  const lost = new Map<string, string>();

  async function send(channel: string, body: object, key: string): Promise<APIMessage> {
    const nonce = { nonce: nonceOf(`${key}${lost.get(key) ?? ''}`), enforce_nonce: true };
    const sent = (await rest.post(Routes.channelMessages(channel), {
      body: { ...body, ...nonce },
    })) as APIMessage;
    lost.delete(key);
    return sent;
  }

  async function startThread(parent: string, message: string, name: string): Promise<void> {
    try {
      const body = { name, auto_archive_duration: ARCHIVE_MINUTES };
      await rest.post(Routes.threads(parent, message), { body });
    } catch (error) {
      if (!refusedWith(error, RESTJSONErrorCodes.ThreadAlreadyCreatedForMessage)) throw error;
    }
  }

  /** What the person said is the best name for the thread on it. */
  async function nameOf(parent: string, message: string, fallback: string): Promise<string> {
    const said = (await rest.get(Routes.channelMessage(parent, message))) as APIMessage;
    return nameFrom(said.content) ?? nameFrom(fallback) ?? NAME;
  }

  return {
    name: 'discord',
    pace: { updateMs: settings.DISCORD_UPDATE_MS },

    status: gateway.status,

    // Everything comes over the gateway.
    mount() {},

    start: () =>
      call('connecting', async () => {
        const application = await gateway.connect();
        await rest.put(Routes.applicationCommands(application), { body: commands });
      }),

    post: (conversation, card, key) =>
      call('posting', async () => {
        const { guild, parent, thread, name } = placeOf(conversation);
        const body = renderCard(card, key);
        if (thread !== undefined) {
          try {
            const sent = await send(thread, body, key);
            return messageRef(conversation, guild, thread, sent.id);
          } catch (error) {
            if (parent === undefined || !refusedWith(error, RESTJSONErrorCodes.UnknownChannel)) throw error;
          }
          await startThread(parent, thread, await nameOf(parent, thread, card.title));
          const sent = await send(thread, body, key);
          return messageRef(conversation, guild, thread, sent.id);
        }
        if (parent === undefined)
          throw new SurfaceError('invalid', 'The address names neither thread nor channel');
        const sent = await send(parent, body, key);
        await startThread(parent, sent.id, nameFrom(name ?? card.title) ?? NAME);
        return messageRef(inThread(guild, parent, sent.id), guild, parent, sent.id);
      }),

    find: (conversation, key) =>
      call('looking for a message', async () => {
        const { guild, parent, thread, name } = placeOf(conversation);
        const channel = thread ?? parent;
        if (channel === undefined) return undefined;
        const query = new URLSearchParams({ limit: String(SEARCH_DEPTH) });
        let messages: RESTGetAPIChannelMessagesResult;
        try {
          messages = (await rest.get(Routes.channelMessages(channel), {
            query,
          })) as RESTGetAPIChannelMessagesResult;
        } catch (error) {
          // The thread was not even started.
          if (refusedWith(error, RESTJSONErrorCodes.UnknownChannel)) return undefined;
          throw error;
        }
        const found = messages.find((message) => message.author.bot && hasKey(message.components, key));
        if (!found) return undefined;
        if (thread !== undefined) return messageRef(conversation, guild, channel, found.id);
        await startThread(channel, found.id, nameFrom(name ?? '') ?? NAME);
        return messageRef(inThread(guild, channel, found.id), guild, channel, found.id);
      }),

    async update(ref, card, key) {
      const { channel, message } = messageOf(ref);
      const body = renderCard(card, key);
      try {
        await call('editing', () => rest.patch(Routes.channelMessage(channel, message), { body }));
      } catch (error) {
        if (error instanceof SurfaceError && error.code === 'gone') lost.set(key, message);
        throw error;
      }
    },

    react: (ref, reaction) =>
      call('reacting', async () => {
        const { channel, message } = messageOf(ref);
        const emoji = encodeURIComponent(emojis[reaction]);
        await rest.put(Routes.channelMessageOwnReaction(channel, message, emoji));
      }),

    role: (person, conversation) =>
      Promise.resolve(roleOf(person, conversation, settings.DISCORD_OPERATOR_ROLES)),

    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}
