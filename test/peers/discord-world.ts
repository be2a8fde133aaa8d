import { randomBytes } from 'node:crypto';
import {
  type APIAttachment,
  type APIGuildMember,
  type APIMessage,
  type APIRole,
  type APIUser,
  ChannelType,
  type GuildMemberFlags,
  type MessageFlags,
  MessageType,
  type RoleFlags,
} from 'discord-api-types/v10';

/** Discord's epoch: the first second of 2015. */
const EPOCH = 1_420_070_400_000n;

export interface PeerPerson {
  user: APIUser;
  roles: string[];
}

/** A file as it arrived. */
export interface PeerFile {
  /** Empty once the message lost it. */
  message: string;
  name: string;
  bytes: Buffer;
}

export interface PeerChannel {
  id: string;
  type: ChannelType;
  name: string;
  /** Undefined for direct messages. */
  guild: string | undefined;
  /** A thread's channel. */
  parent: string | undefined;
  archived: boolean;
  /** Oldest first. */
  messages: APIMessage[];
}

export type NewMessage = Pick<APIMessage, 'author' | 'content'> &
  Partial<
    Pick<APIMessage, 'components' | 'flags' | 'attachments' | 'mentions' | 'mention_roles' | 'nonce'>
  > & {
    ageMs?: number | undefined;
  };

export type World = ReturnType<typeof createWorld>;

/** What a local Discord knows: one server, its people, channels, threads and messages. */
export function createWorld() {
  let sequence = 0n;
  const snowflake = (ageMs = 0): string => {
    sequence += 1n;
    return (((BigInt(Date.now()) - EPOCH - BigInt(ageMs)) << 22n) | (sequence & 0x3f_ffffn)).toString();
  };

  const user = (name: string, bot: boolean): APIUser => ({
    id: snowflake(),
    username: name.toLowerCase(),
    discriminator: bot ? '0001' : '0',
    global_name: bot ? null : name,
    avatar: null,
    bot,
  });
  const bot = user('comio', true);
  const ids = {
    application: bot.id,
    bot: bot.id,
    guild: snowflake(),
    channel: snowflake(),
    botRole: snowflake(),
    operators: snowflake(),
  };
  const people = new Map<string, PeerPerson>([[bot.id, { user: bot, roles: [ids.botRole] }]]);
  const channels = new Map<string, PeerChannel>();
  const reactions = new Map<string, string[]>();
  /** Of the bot's messages, by id. */
  const files = new Map<string, PeerFile>();
  /** By message of the bot, as it is now. */
  const mentioned = new Map<string, { shown: string[]; notified: string[] }>();

  const addChannel = (
    channel: Pick<PeerChannel, 'type' | 'name' | 'guild'> & Partial<PeerChannel>,
  ): PeerChannel => {
    const added = { id: snowflake(), parent: undefined, archived: false, messages: [], ...channel };
    channels.set(added.id, added);
    return added;
  };
  addChannel({ id: ids.channel, type: ChannelType.GuildText, name: 'general', guild: ids.guild });

  const role = (id: string, name: string, tags?: APIRole['tags']): APIRole => ({
    id,
    name,
    color: 0,
    colors: { primary_color: 0, secondary_color: null, tertiary_color: null },
    hoist: false,
    position: 0,
    permissions: '0',
    managed: tags !== undefined,
    mentionable: true,
    flags: 0 as RoleFlags,
    ...(tags === undefined ? {} : { tags }),
  });

  const member = (person: PeerPerson): APIGuildMember => ({
    user: person.user,
    roles: person.roles,
    joined_at: new Date(0).toISOString(),
    deaf: false,
    mute: false,
    flags: 0 as GuildMemberFlags,
  });

  const channelPayload = (channel: PeerChannel) => ({
    id: channel.id,
    type: channel.type,
    name: channel.name,
    ...(channel.guild === undefined ? { recipients: [] } : { guild_id: channel.guild }),
    ...(channel.parent === undefined
      ? { position: 0, permission_overwrites: [] }
      : {
          parent_id: channel.parent,
          owner_id: ids.bot,
          member_count: 1,
          message_count: channel.messages.length,
          thread_metadata: {
            archived: channel.archived,
            auto_archive_duration: 10_080,
            archive_timestamp: new Date().toISOString(),
            locked: false,
          },
        }),
    last_message_id: channel.messages.at(-1)?.id ?? null,
  });

  return {
    ids,
    token: `${Buffer.from(bot.id).toString('base64')}.${randomBytes(4).toString('hex')}.${randomBytes(16).toString('hex')}`,
    bot,
    people,
    channels,
    reactions,
    files,
    mentioned,
    snowflake,
    addChannel,
    member,
    channelPayload,

    addPerson(name: string, roles: string[]): PeerPerson {
      const person = { user: user(name, false), roles };
      people.set(person.user.id, person);
      return person;
    },

    addMessage(channel: PeerChannel, { ageMs, ...message }: NewMessage): APIMessage {
      const id = snowflake(ageMs);
      const at = new Date(Number((BigInt(id) >> 22n) + EPOCH)).toISOString();
      const added: APIMessage = {
        id,
        channel_id: channel.id,
        timestamp: at.replace('Z', '000+00:00'),
        edited_timestamp: null,
        tts: false,
        mention_everyone: false,
        mentions: [],
        mention_roles: [],
        attachments: [],
        embeds: [],
        pinned: false,
        type: MessageType.Default,
        flags: 0 as MessageFlags,
        components: [],
        ...message,
      };
      channel.messages.push(added);
      // Posting in an archived thread opens it again.
      channel.archived = false;
      return added;
    },

    attachment: (filename: string): APIAttachment => {
      const id = snowflake();
      const url = `https://cdn.discordapp.com/attachments/1/${id}/${filename}`;
      return { id, filename, size: 1, url, proxy_url: url };
    },

    /** READY's data, and GUILD_CREATE's of each server. */
    greeting: () => ({
      ready: {
        v: 10,
        user: bot,
        guilds: [{ id: ids.guild, unavailable: true }],
        application: { id: ids.application, flags: 0 },
      },
      guilds: [
        {
          id: ids.guild,
          name: 'Kitchen',
          owner_id: bot.id,
          joined_at: new Date().toISOString(),
          large: false,
          member_count: people.size,
          roles: [
            role(ids.guild, '@everyone'),
            role(ids.botRole, 'comio', { bot_id: bot.id }),
            role(ids.operators, 'operators'),
          ],
          members: [member({ user: bot, roles: [ids.botRole] })],
          channels: [...channels.values()]
            .filter((channel) => channel.guild !== undefined && channel.parent === undefined)
            .map(channelPayload),
          threads: [...channels.values()]
            .filter((channel) => channel.parent !== undefined && !channel.archived)
            .map(channelPayload),
          emojis: [],
          stickers: [],
          features: [],
          presences: [],
          voice_states: [],
          stage_instances: [],
          guild_scheduled_events: [],
          soundboard_sounds: [],
        },
      ],
    }),
  };
}
