import { setTimeout as sleep } from 'node:timers/promises';
import {
  type APIInteraction,
  type APIMessage,
  type Client,
  InteractionResponseType,
  InteractionType,
  MessageFlags,
  type REST,
  type RESTGetAPIChannelResult,
  type RESTGetAPIGuildMemberResult,
  RESTJSONErrorCodes,
  type RESTPostAPIInteractionCallbackJSONBody,
  Routes,
} from 'discord.js';
import type { Inbound, Receive } from '#core/conversations/surface.ts';
import type { Logger } from '#observability/log.ts';
import { messagesSince } from './catch-up.ts';
import { refusedWith } from './errors.ts';
import { type MessageContext, parseInteraction, parseMessage } from './parse.ts';

/** Waits before a message the database did not take is offered again: Discord does not deliver it twice. */
const RECEIVE_RETRIES_MS = [250, 1000, 4000];

type Member = NonNullable<MessageContext['member']>;

export interface Incoming {
  message(
    from: Client,
    message: APIMessage,
    guild: string | undefined,
    member: Member | undefined,
  ): Promise<void>;
  interaction(interaction: APIInteraction): Promise<void>;
  /** Takes in what was said in the servers' channels and threads since, while nobody listened. */
  catchUp(from: Client, since: number, signal: AbortSignal): Promise<void>;
}

/** From what Discord hands over to what the core has stored; interactions are acknowledged after that. */
export function createIncoming(deps: { rest: REST; receive: Receive; log: Logger }): Incoming {
  const { rest, receive, log } = deps;

  async function receiveSurely(inbound: Inbound): Promise<void> {
    for (const wait of RECEIVE_RETRIES_MS) {
      try {
        await receive(inbound);
        return;
      } catch (error) {
        log.warn({ err: error, id: inbound.id }, 'a message could not be stored, trying again');
        await sleep(wait);
      }
    }
    await receive(inbound);
  }

  async function channelOf(from: Client, id: string): Promise<MessageContext['channel']> {
    const known = from.channels.cache.get(id);
    if (known) return { id, type: known.type, parent: known.isThread() ? known.parentId : null };
    const channel = (await rest.get(Routes.channel(id))) as RESTGetAPIChannelResult;
    return { id, type: channel.type, parent: 'parent_id' in channel ? channel.parent_id : null };
  }

  async function memberOf(guild: string, user: string): Promise<Member | undefined> {
    try {
      return (await rest.get(Routes.guildMember(guild, user))) as RESTGetAPIGuildMemberResult;
    } catch (error) {
      if (refusedWith(error, RESTJSONErrorCodes.UnknownMember, RESTJSONErrorCodes.UnknownUser))
        return undefined;
      throw error;
    }
  }

  const message: Incoming['message'] = async (from, message, guild, member) => {
    const bot = from.user?.id;
    if (bot === undefined || message.author.bot) return;
    const server = guild === undefined ? undefined : from.guilds.cache.get(guild);
    const context = {
      bot,
      botRole: server?.roles.cache.find((role) => role.tags?.botId === bot)?.id,
      channel: await channelOf(from, message.channel_id),
      guild,
      member,
    };
    if (!parseMessage(message, context)) return;
    // A channel's history comes without member records, which hold the roles.
    if (guild !== undefined && !member) context.member = await memberOf(guild, message.author.id);
    const inbound = parseMessage(message, context);
    if (inbound) await receiveSurely(inbound);
  };

  return {
    message,

    // Persist, then ack: Discord wants an answer within 3 s, and tells the person so when none came.
    async interaction(interaction) {
      const inbound = parseInteraction(interaction);
      if (!inbound) return;
      await receiveSurely(inbound);
      const body: RESTPostAPIInteractionCallbackJSONBody =
        interaction.type === InteractionType.MessageComponent
          ? { type: InteractionResponseType.DeferredMessageUpdate }
          : {
              type: InteractionResponseType.ChannelMessageWithSource,
              data: {
                content: inbound.conversation.rootless ? '👀 On it. I answer in a thread here.' : '👀 On it.',
                flags: MessageFlags.Ephemeral,
                allowed_mentions: { parse: [] },
              },
            };
      try {
        await rest.post(Routes.interactionCallback(interaction.id, interaction.token), { body, auth: false });
      } catch (error) {
        // A second delivery of the same press was answered already; a late one cannot be. The work goes on either way.
        const { InteractionHasAlreadyBeenAcknowledged, UnknownInteraction } = RESTJSONErrorCodes;
        if (!refusedWith(error, InteractionHasAlreadyBeenAcknowledged, UnknownInteraction)) throw error;
        log.debug({ id: inbound.id }, 'an interaction could not be acknowledged any more');
      }
    },

    async catchUp(from, since, signal) {
      for (const channel of from.channels.cache.values()) {
        if (!channel.isTextBased() || channel.isDMBased()) continue;
        try {
          for await (const missed of messagesSince(rest, channel.id, channel.lastMessageId, since)) {
            if (signal.aborted) return;
            await message(from, missed, channel.guildId, undefined);
          }
        } catch (error) {
          // One channel we may not read must not hide the others.
          log.warn({ err: error, channel: channel.id }, 'could not look for missed messages');
        }
      }
    },
  };
}
