import {
  type APIInteraction,
  type APIMessage,
  type APIUser,
  ApplicationCommandType,
  type ChannelType,
  ComponentType,
  InteractionType,
  MessageType,
} from 'discord.js';
import type { Inbound, Person } from '#core/conversations/surface.ts';
import { conversationOf, DIRECT, isRoot, isThread, madeAt, messageRef, rootless } from './address.ts';
import { commandText } from './commands.ts';

/** What a message's payload leaves out. */
export interface MessageContext {
  bot: string;
  /** The role Discord made for the bot in this server; people mention it where they mean the bot. */
  botRole?: string | undefined;
  /** Where it was said; `parent` is a thread's channel. */
  channel: { id: string; type: ChannelType; parent?: string | null | undefined };
  /** Undefined in direct messages. */
  guild: string | undefined;
  /** The author's member record in that server; undefined where Discord gave none. */
  member: { roles: string[]; nick?: string | null | undefined } | undefined;
}

/**
 * A message for us, or undefined: it is a bot's (ours, too), a system notice, at a channel's root without a mention,
 * or empty because Discord withheld its text (no message content intent, no mention).
 */
export function parseMessage(message: APIMessage, context: MessageContext): Inbound | undefined {
  if (message.author.bot || message.webhook_id) return undefined;
  if (message.type !== MessageType.Default && message.type !== MessageType.Reply) return undefined;

  const direct = context.guild === undefined;
  const mentioned =
    message.mentions.some((user) => user.id === context.bot) ||
    (context.botRole !== undefined && message.mention_roles.includes(context.botRole));
  if (!direct && !mentioned && !isThread(context.channel.type)) return undefined;

  const text = plainText(message, context);
  if (text === '' && !mentioned) return undefined;

  const guild = context.guild ?? DIRECT;
  const conversation = conversationOf(guild, context.channel, message.id);
  return {
    id: `discord:${message.id}`,
    conversation,
    author: person(message.author, context.guild, context.member),
    kind: 'message',
    text,
    addressed: mentioned || direct,
    sentAt: new Date(madeAt(message.id)).toISOString(),
    reactTo: messageRef(conversation, guild, message.channel_id, message.id),
  };
}

/** A `/comio` command or a press on one of our buttons; undefined for anything else. */
export function parseInteraction(interaction: APIInteraction): Inbound | undefined {
  const channel = interaction.channel;
  const user = interaction.member?.user ?? interaction.user;
  if (!channel || !user) return undefined;
  const guild = interaction.guild_id ?? DIRECT;
  const place = {
    id: channel.id,
    type: channel.type,
    parent: 'parent_id' in channel ? channel.parent_id : null,
  };
  const common = {
    id: `discord:int:${interaction.id}`,
    author: person(user, interaction.guild_id, interaction.member),
    addressed: true,
    sentAt: new Date(madeAt(interaction.id)).toISOString(),
  };

  if (interaction.type === InteractionType.ApplicationCommand) {
    if (interaction.data.type !== ApplicationCommandType.ChatInput) return undefined;
    const text = commandText(interaction.data);
    const conversation = isRoot(channel.type)
      ? rootless(guild, channel.id, interaction.id, text)
      : conversationOf(guild, place, interaction.id);
    return { ...common, conversation, kind: 'message', text };
  }

  if (interaction.type === InteractionType.MessageComponent) {
    if (interaction.data.component_type !== ComponentType.Button) return undefined;
    const [id, value] = split(interaction.data.custom_id);
    const conversation = conversationOf(guild, place, interaction.message.id);
    return {
      ...common,
      conversation,
      kind: 'action',
      text: '',
      action: { id, value },
      reactTo: messageRef(conversation, guild, channel.id, interaction.message.id),
    };
  }
  return undefined;
}

const split = (customId: string): [string, string] => {
  const colon = customId.indexOf(':');
  return colon < 0 ? [customId, ''] : [customId.slice(0, colon), customId.slice(colon + 1)];
};

function person(
  user: APIUser,
  guild: string | undefined,
  member: { roles: string[]; nick?: string | null | undefined } | undefined,
): Person {
  return {
    id: user.id,
    name: member?.nick ?? user.global_name ?? user.username,
    // Everyone in a server has the role whose id is the server's; payloads leave it out.
    claims: guild !== undefined && member ? [guild, ...member.roles] : [],
  };
}

/** The text without the mention of us; other people's mentions by name; a line for each file we cannot read. */
function plainText(message: APIMessage, context: MessageContext): string {
  const names = new Map(message.mentions.map((user) => [user.id, user.global_name ?? user.username]));
  const said = message.content
    .replace(/<@!?(\d+)>/g, (whole, id: string) => {
      if (id === context.bot) return '';
      const name = names.get(id);
      return name === undefined ? whole : `@${name}`;
    })
    .replace(/<@&(\d+)>/g, (whole, id: string) => (id === context.botRole ? '' : whole))
    .trim();
  const files = message.attachments.map((file) => `[attached file, not read: ${file.filename}]`);
  return [said, ...files].filter((line) => line !== '').join('\n');
}
