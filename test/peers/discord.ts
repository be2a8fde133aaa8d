import { createServer } from 'node:http';
import {
  type APIMessage,
  ApplicationCommandOptionType,
  ApplicationCommandType,
  ChannelType,
  ComponentType,
  GatewayDispatchEvents,
  GatewayIntentBits,
  InteractionType,
} from 'discord-api-types/v10';
import { flatten, type InteractionAnswer, type RegisteredCommand } from './discord-checks.ts';
import { createPeerGateway } from './discord-gateway.ts';
import { createDiscordRest, type Fault, type RestRequest } from './discord-rest.ts';
import { createWorld, type PeerChannel, type PeerPerson } from './discord-world.ts';

export interface DiscordPeer extends AsyncDisposable {
  /** For DISCORD_API_URL and DISCORD_TOKEN. */
  readonly url: string;
  readonly token: string;
  /** The server, a text channel in it, our bot, its role, and a role to give people. */
  readonly ids: Readonly<
    Record<'application' | 'bot' | 'guild' | 'channel' | 'botRole' | 'operators', string>
  >;

  person(name: string, roles?: string[]): PeerPerson;
  addChannel(type: ChannelType, name: string): string;
  directChannel(): string;
  /** A thread somebody starts, on a message or without one. */
  thread(channel: string, name: string, message?: string): string;
  archive(thread: string): void;
  /** A person's message. `mention` puts a mention in front; `deliver` is how often the gateway tells of it. */
  say(what: {
    in: string;
    by: PeerPerson;
    text: string;
    mention?: 'bot' | 'role' | undefined;
    files?: string[] | undefined;
    deliver?: number | undefined;
  }): APIMessage;
  /** `/comio <verb>`; throws where a person's client would refuse it. Returns the interaction's id. */
  slash(what: {
    in: string;
    by: PeerPerson;
    verb: string;
    options?: Record<string, string> | undefined;
    deliver?: number | undefined;
  }): string;
  /** A press on the button with this label on a message of the bot. Returns the interaction's id. */
  press(what: { on: APIMessage; by: PeerPerson; label: string; deliver?: number | undefined }): string;
  deleteMessage(message: APIMessage): void;
  /** A message of the bot from long ago. */
  oldMessage(channel: string, ageMs: number): APIMessage;

  /** Oldest first; throws for a channel or thread that is not there. */
  messages(channel: string): APIMessage[];
  /** Everything a person reads in a message, line by line. */
  text(message: APIMessage): string;
  buttons(message: APIMessage): string[];
  /** The pictures a person sees in a message, and what is said about each. */
  pictures(message: APIMessage): { alt: string; png: Buffer }[];
  channel(id: string): PeerChannel | undefined;
  reactions(message: string): string[];
  /** What in a message of the bot is shown as a mention, and who is notified by it. */
  mentions(message: string): { shown: string[]; notified: string[] };
  answers(interaction: string): InteractionAnswer[];
  commands(): RegisteredCommand[];
  readonly requests: readonly RestRequest[];

  /** How many files Discord took. */
  uploads(): number;
  /** Whether the bot may attach files. */
  allowFiles(allowed: boolean): void;
  /** Whether the application was granted the message content intent. */
  allowMessageContent(allowed: boolean): void;
  /** Closes the gateway's connections; `forget`: sessions cannot be resumed. */
  drop(how?: { forget: boolean }): void;
  /** Holds the gateway's events back; `release` sends them in this order (default: the last first). */
  hold(): void;
  release(order?: <T>(all: T[]) => T[]): void;
  connections(): number;
  fault(fault: Fault): void;
}

/** A local Discord: one application with its bot in one server, over the real protocols. */
export async function createDiscordPeer(): Promise<DiscordPeer> {
  const world = createWorld();
  const { ids } = world;
  let messageContent = true;
  let files = true;
  let registered: RegisteredCommand[] = [];
  const interactions = new Map<string, { token: string; answers: InteractionAnswer[] }>();

  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the peer listens on no port');

  const gateway = createPeerGateway({
    server,
    token: world.token,
    bot: ids.bot,
    url: `ws://127.0.0.1:${address.port}`,
    allowsMessageContent: () => messageContent,
    greet: world.greeting,
  });
  const rest = createDiscordRest({
    world,
    gatewayUrl: () => gateway.url,
    takesFiles: () => files,
    readsContent: () => messageContent,
    interactions,
    onCommands: (commands) => {
      registered = commands;
    },
    onMessage: (message) => announce(message, 1),
    onChannel: (event, channel) =>
      gateway.dispatch(event, world.channelPayload(channel), GatewayIntentBits.Guilds, 1),
  });
  server.on('request', rest.listener);

  const channelOf = (id: string): PeerChannel => {
    const channel = world.channels.get(id);
    if (!channel) throw new Error(`Discord has no channel ${id}`);
    return channel;
  };

  function announce(message: APIMessage, times: number): void {
    const { guild } = channelOf(message.channel_id);
    const author = world.people.get(message.author.id);
    if (guild === undefined || !author) {
      gateway.dispatchMessage(message, times);
    } else {
      const { user: _, ...member } = world.member(author);
      gateway.dispatchMessage({ ...message, guild_id: guild, member }, times);
    }
  }

  /** What every interaction says about who, where and how to answer. */
  function interact(channelId: string, by: PeerPerson, special: object, times: number): string {
    const channel = channelOf(channelId);
    const id = world.snowflake();
    const token = `answer-${id}`;
    interactions.set(id, { token, answers: [] });
    const who =
      channel.guild === undefined
        ? { user: by.user, context: 1 }
        : {
            guild_id: channel.guild,
            guild: { id: channel.guild, locale: 'en-US', features: [] },
            member: { ...world.member(by), permissions: '0' },
            context: 0,
          };
    const interaction = {
      id,
      token,
      version: 1,
      application_id: ids.application,
      channel_id: channel.id,
      channel: { ...world.channelPayload(channel), permissions: '0' },
      locale: 'en-US',
      guild_locale: 'en-US',
      entitlements: [],
      authorizing_integration_owners: { 0: channel.guild ?? '0' },
      attachment_size_limit: 10_485_760,
      app_permissions: '0',
      ...who,
      ...special,
    };
    gateway.dispatch(GatewayDispatchEvents.InteractionCreate, interaction, 0, times);
    return id;
  }

  return {
    url: `http://127.0.0.1:${address.port}/api`,
    token: world.token,
    ids,
    requests: rest.requests,

    person: (name, roles = []) => world.addPerson(name, roles),
    addChannel(type, name) {
      const channel = world.addChannel({ type, name, guild: ids.guild });
      const event = GatewayDispatchEvents.ChannelCreate;
      gateway.dispatch(event, world.channelPayload(channel), GatewayIntentBits.Guilds, 1);
      return channel.id;
    },
    // Bots are told of direct channels only by the messages in them.
    directChannel: () => world.addChannel({ type: ChannelType.DM, name: '', guild: undefined }).id,
    thread(parent, name, message = world.snowflake()) {
      const thread = world.addChannel({
        id: message,
        type: ChannelType.PublicThread,
        name,
        guild: ids.guild,
        parent,
      });
      const event = GatewayDispatchEvents.ThreadCreate;
      gateway.dispatch(event, world.channelPayload(thread), GatewayIntentBits.Guilds, 1);
      return thread.id;
    },
    archive(thread) {
      channelOf(thread).archived = true;
    },

    say({ in: channel, by, text, mention, files = [], deliver = 1 }) {
      const mentions = { bot: `<@${ids.bot}> `, role: `<@&${ids.botRole}> ` };
      const message = world.addMessage(channelOf(channel), {
        author: by.user,
        content: `${mention ? mentions[mention] : ''}${text}`,
        mentions: mention === 'bot' ? [world.bot] : [],
        mention_roles: mention === 'role' ? [ids.botRole] : [],
        attachments: files.map(world.attachment),
      });
      announce(message, deliver);
      return message;
    },

    slash({ in: channel, by, verb, options = {}, deliver = 1 }) {
      const [command] = registered;
      const subcommand = command?.options?.find((option) => option.name === verb);
      if (!command || !subcommand) throw new Error(`/comio ${verb} is not registered`);
      const known = subcommand.options ?? [];
      const missing = known.filter((option) => option.required && options[option.name] === undefined);
      const unknown = Object.keys(options).filter((name) => !known.some((option) => option.name === name));
      if (missing.length + unknown.length > 0) throw new Error(`/comio ${verb} does not take these options`);
      const data = {
        id: '1',
        name: command.name,
        type: ApplicationCommandType.ChatInput,
        options: [
          {
            type: ApplicationCommandOptionType.Subcommand,
            name: verb,
            // Discord keeps the command's own order, not the one they were typed in.
            options: known.flatMap(({ name }) =>
              options[name] === undefined
                ? []
                : [{ type: ApplicationCommandOptionType.String, name, value: options[name] }],
            ),
          },
        ],
      };
      return interact(channel, by, { type: InteractionType.ApplicationCommand, data }, deliver);
    },

    press({ on, by, label, deliver = 1 }) {
      const button = flatten(on.components ?? []).find((component) => component.label === label);
      if (button?.custom_id === undefined) throw new Error(`No button "${label}" on message ${on.id}`);
      const data = { component_type: ComponentType.Button, custom_id: button.custom_id, id: button.id };
      const special = { type: InteractionType.MessageComponent, data, message: on };
      return interact(on.channel_id, by, special, deliver);
    },

    deleteMessage(message) {
      const channel = channelOf(message.channel_id);
      channel.messages = channel.messages.filter((other) => other.id !== message.id);
    },
    oldMessage: (channel, ageMs) =>
      world.addMessage(channelOf(channel), { author: world.bot, content: 'old', ageMs }),

    messages: (channel) => channelOf(channel).messages,
    text: (message) =>
      [message.content, ...flatten(message.components ?? []).flatMap((c) => c.content ?? [])]
        .filter((line) => line !== '')
        .join('\n'),
    pictures: (message) =>
      flatten(message.components ?? [])
        .flatMap(({ items = [] }) => items)
        .flatMap(({ media, description }) => {
          const file = world.files.get(/\/attachments\/\d+\/(\d+)\//.exec(media.url)?.[1] ?? '');
          return file ? [{ alt: description ?? '', png: file.bytes }] : [];
        }),
    buttons: (message) => flatten(message.components ?? []).flatMap((c) => c.label ?? []),
    channel: (id) => world.channels.get(id),
    reactions: (message) => world.reactions.get(message) ?? [],
    mentions: (message) => world.mentioned.get(message) ?? { shown: [], notified: [] },
    answers: (interaction) => interactions.get(interaction)?.answers ?? [],
    commands: () => registered,

    uploads: () => world.files.size,
    allowFiles(allowed) {
      files = allowed;
    },
    allowMessageContent(allowed) {
      messageContent = allowed;
    },
    drop: gateway.drop,
    hold: gateway.hold,
    release: gateway.release,
    connections: () => gateway.connections(),
    fault: (fault) => rest.faults.push(fault),

    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
