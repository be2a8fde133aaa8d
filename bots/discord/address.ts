import { ChannelType, SnowflakeUtil } from 'discord.js';
import { z } from 'zod';
import type { ConversationAddress, MessageRef } from '#core/conversations/surface.ts';

/** Discord's own word, in its links, for "no server". */
export const DIRECT = '@me';

/**
 * Where a Discord conversation is.
 *
 * A thread started on a message has that message's id, so a mention at a channel's root names its thread before the
 * thread exists: `parent` (the channel) says where it may still have to be started. Without `thread` there is not even
 * a message yet (slash command at a channel's root), and `name` is what to call the thread.
 */
const placeSchema = z.object({
  guild: z.string(),
  thread: z.string().optional(),
  parent: z.string().optional(),
  name: z.string().optional(),
});
const messageSchema = z.object({ channel: z.string(), message: z.string() });

export const placeOf = (conversation: ConversationAddress) => placeSchema.parse(conversation.at);
export const messageOf = (ref: MessageRef) => messageSchema.parse(ref.at);

/** A thread of `parent`: started on the message with its id, perhaps not yet, or by itself. */
export const inThread = (guild: string, parent: string, thread: string): ConversationAddress => ({
  surface: 'discord',
  key: `${guild}/${thread}`,
  at: { guild, parent, thread },
});

/** A channel that is one conversation: direct messages, or a voice channel's chat, in which no thread can be. */
export const inChannel = (guild: string, channel: string): ConversationAddress => ({
  surface: 'discord',
  key: `${guild}/${channel}`,
  at: { guild, thread: channel },
});

/** Where something said or shown in a channel belongs: at a channel's root to the thread on that message. */
export function conversationOf(
  guild: string,
  channel: { id: string; type: ChannelType; parent?: string | null | undefined },
  message: string,
): ConversationAddress {
  if (isRoot(channel.type)) return inThread(guild, channel.id, message);
  if (isThread(channel.type) && channel.parent) return inThread(guild, channel.parent, channel.id);
  return inChannel(guild, channel.id);
}

/** A command at a channel's root: the first post makes the message and the thread on it. */
export const rootless = (
  guild: string,
  parent: string,
  interaction: string,
  name: string,
): ConversationAddress => ({
  surface: 'discord',
  key: `${guild}/int:${interaction}`,
  at: { guild, parent, name },
  rootless: true,
});

/** Discord's limit for a thread's name. */
const MAX_NAME = 100;

/** One line that can be a thread's name, without mentions; undefined where nothing is left of it. */
export function nameFrom(text: string): string | undefined {
  const line = text
    .replace(/<@[!&]?\d+>/g, '')
    .replace(/\s+/g, ' ')
    .trim();
  const characters = Array.from(line);
  if (characters.length <= MAX_NAME) return line || undefined;
  return `${characters.slice(0, MAX_NAME - 1).join('')}…`;
}

export const messageRef = (
  conversation: ConversationAddress,
  guild: string,
  channel: string,
  message: string,
): MessageRef => ({
  conversation,
  at: { channel, message },
  url: `https://discord.com/channels/${guild}/${channel}/${message}`,
});

/** Threads can be started on messages of these. */
export const isRoot = (type: ChannelType): boolean =>
  type === ChannelType.GuildText || type === ChannelType.GuildAnnouncement;

export const isThread = (type: ChannelType): boolean =>
  type === ChannelType.PublicThread ||
  type === ChannelType.PrivateThread ||
  type === ChannelType.AnnouncementThread;

/** Every Discord id holds the millisecond it was made in. */
export const madeAt = (snowflake: string): number => SnowflakeUtil.timestampFrom(snowflake);
