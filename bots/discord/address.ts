import { ChannelType, SnowflakeUtil } from 'discord.js';
import { z } from 'zod';
import type { ConversationAddress, MessageRef } from '#core/conversations/surface.ts';

/** Discord's own word, in its links, for "no server". */
export const DIRECT = '@me';

/**
 * Where a Discord conversation is.
 *
 * A thread started on a message has that message's id, so a mention at a channel's root names its thread before the
 * thread exists: then `parent` (the channel) says where it may still have to be started. Without `thread` there is not
 * even a message yet (slash command at a channel's root).
 */
const placeSchema = z.object({
  guild: z.string(),
  thread: z.string().optional(),
  parent: z.string().optional(),
  /** What to call the thread when it is started. */
  name: z.string().optional(),
});
const messageSchema = z.object({ channel: z.string(), message: z.string() });

export const placeOf = (conversation: ConversationAddress) => placeSchema.parse(conversation.at);
export const messageOf = (ref: MessageRef) => messageSchema.parse(ref.at);

/** A thread, a direct message, or a channel in which no thread can be started (a voice channel's chat). */
export const inThread = (guild: string, thread: string): ConversationAddress => ({
  surface: 'discord',
  key: `${guild}/${thread}`,
  at: { guild, thread },
});

/** The thread on a message of a channel, started or not. */
export const onMessage = (
  guild: string,
  parent: string,
  message: string,
  name: string | undefined,
): ConversationAddress => ({
  surface: 'discord',
  key: `${guild}/${message}`,
  at: { guild, parent, thread: message, ...named(name) },
});

/** A command at a channel's root: the first post makes the message and the thread on it. */
export const rootless = (
  guild: string,
  parent: string,
  interaction: string,
  name: string,
): ConversationAddress => ({
  surface: 'discord',
  key: `${guild}/int:${interaction}`,
  at: { guild, parent, ...named(name) },
  rootless: true,
});

/** Discord's limit for a thread's name. */
const MAX_NAME = 100;

/** One line that can be a thread's name; undefined where nothing is left of it. */
export function nameFrom(text: string): string | undefined {
  const line = text.replace(/\s+/g, ' ').trim();
  const characters = Array.from(line);
  if (characters.length <= MAX_NAME) return line || undefined;
  return `${characters.slice(0, MAX_NAME - 1).join('')}…`;
}

function named(text: string | undefined): { name?: string } {
  const name = text === undefined ? undefined : nameFrom(text);
  return name === undefined ? {} : { name };
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
