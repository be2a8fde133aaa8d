import {
  type APIMessage,
  type RawFile,
  REST,
  type RESTGetAPIChannelMessagesResult,
  RESTJSONErrorCodes,
  type RESTOptions,
  Routes,
} from 'discord.js';
import type { Card } from '#core/conversations/card.ts';
import type { Images } from '#core/conversations/images.ts';
import type { Reaction, Receive, Surface } from '#core/conversations/surface.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import type { Logger } from '#observability/log.ts';
import { inThread, messageOf, messageRef, nameFrom, placeOf } from './address.ts';
import { commands } from './commands.ts';
import { isOldEdit, refusedWith, toSurfaceError, waitOf } from './errors.ts';
import { createGateway } from './gateway.ts';
import { createIncoming } from './incoming.ts';
import { attachedTo, fileNameOf, picturesOf, refusesFiles } from './pictures.ts';
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
export function createDiscord(deps: {
  settings: DiscordSettings;
  receive: Receive;
  images: Pick<Images, 'png'>;
  log: Logger;
}): Surface {
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

  interface Composed {
    body: object;
    files: RawFile[];
  }

  /**
   * The card with its pictures, in one request. `attached`: those the message has already, which it keeps; another that
   * is not in the card any more it loses.
   */
  async function compose(
    card: Card,
    key: string,
    attached: ReadonlyMap<string, string> = new Map(),
  ): Promise<Composed> {
    const files: RawFile[] = [];
    const attachments: object[] = [];
    const shown = new Set<string>();
    for (const id of picturesOf(card)) {
      const earlier = attached.get(id);
      const png = earlier === undefined ? await deps.images.png(id) : undefined;
      if (earlier !== undefined) attachments.push({ id: earlier });
      else if (png) {
        attachments.push({ id: String(files.length), filename: fileNameOf(id) });
        files.push({ name: fileNameOf(id), data: Buffer.from(png), contentType: 'image/png' });
      } else continue;
      shown.add(id);
    }
    return { body: { ...renderCard(card, key, shown), attachments }, files };
  }

  /** Without the pictures where Discord does not take them: a message in words is better than none. */
  async function withPictures<T>(
    composed: Composed,
    card: Card,
    key: string,
    send: (composed: Composed) => Promise<T>,
  ): Promise<T> {
    try {
      return await send(composed);
    } catch (error) {
      if (composed.files.length === 0 || !refusesFiles(error)) throw error;
      log.warn(
        { err: error, key },
        'Discord does not take the pictures of a message; they are told in words',
      );
      return send({ body: { ...renderCard(card, key), attachments: [] }, files: [] });
    }
  }

  async function send(channel: string, card: Card, key: string): Promise<APIMessage> {
    const nonce = { nonce: nonceOf(`${key}${lost.get(key) ?? ''}`), enforce_nonce: true };
    const sent = await withPictures(await compose(card, key), card, key, ({ body, files }) =>
      rest.post(Routes.channelMessages(channel), { body: { ...body, ...nonce }, files }),
    );
    lost.delete(key);
    return sent as APIMessage;
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
        if (thread !== undefined) {
          try {
            const sent = await send(thread, card, key);
            return messageRef(conversation, guild, thread, sent.id);
          } catch (error) {
            if (parent === undefined || !refusedWith(error, RESTJSONErrorCodes.UnknownChannel)) throw error;
          }
          await startThread(parent, thread, await nameOf(parent, thread, card.title));
          const sent = await send(thread, card, key);
          return messageRef(conversation, guild, thread, sent.id);
        }
        if (parent === undefined)
          throw new SurfaceError('invalid', 'The address names neither thread nor channel');
        const sent = await send(parent, card, key);
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
      const route = Routes.channelMessage(channel, message);
      try {
        await call('editing', async () => {
          const has =
            picturesOf(card).length > 0 ? attachedTo((await rest.get(route)) as APIMessage) : undefined;
          const composed = await compose(card, key, has);
          await withPictures(composed, card, key, ({ body, files }) => rest.patch(route, { body, files }));
        });
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
