import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { createEmulator } from 'emulate';
import { createManifest } from '#bots/slack/manifest.ts';
import { buttonsOf, imagesIn } from './slack-blocks.ts';
import { createDelivery, type Delivery } from './slack-delivery.ts';
import {
  type ApiCall,
  createSlackEdge,
  type Json,
  messagesIn,
  type PeerUser,
  type SlackFault,
} from './slack-edge.ts';

export interface SlackMessage {
  ts: string;
  channel: string;
  user: string;
  text: string;
  thread: string;
  blocks: unknown[];
  reactions: { name: string; users: string[] }[];
}

export interface SlackPeer extends AsyncDisposable {
  /** What Comio is configured with; leave out the app token for HTTP. */
  readonly env: Readonly<
    Record<
      'SLACK_API_URL' | 'SLACK_BOT_TOKEN' | 'SLACK_SIGNING_SECRET' | 'SLACK_APP_TOKEN' | 'SLACK_OPERATORS',
      string
    >
  >;
  /** Ids. `ada` and `bob` are full members, `gus` a guest, `sam` from another workspace; `ada` is in the group. */
  readonly ids: Readonly<
    Record<'app' | 'team' | 'bot' | 'channel' | 'group' | 'ada' | 'bob' | 'gus' | 'sam', string>
  >;
  /** Where the app takes events over HTTP (`…/slack/events`). A Socket Mode connection goes first. */
  deliverTo(url: string): void;
  /**
   * A person types and sends a message: `@comio` becomes the mention, what Slack escapes is escaped. Delivers what a
   * workspace would, `copies` times each. Returns the message's ts at once; {@link idle} waits for the deliveries.
   */
  say(what: {
    channel?: string;
    user: string;
    text: string;
    thread?: string | undefined;
    copies?: number;
  }): Promise<string>;
  /** `/comio text`. Slack has no slash commands in threads. Returns the trigger id. */
  slash(what: { channel?: string; user: string; text: string; copies?: number }): string;
  /** Presses a button by action id (ours, without its position) or by label. Throws when it is not there. */
  press(what: {
    channel?: string;
    ts: string;
    user: string;
    actionId: string;
    copies?: number;
  }): Promise<void>;
  /** The direct message channel of a person and the bot. */
  direct(user: string): Promise<string>;
  remove(channel: string, ts: string): Promise<void>;
  /** The root and its replies, oldest first; empty when there is none. */
  thread(ts: string, channel?: string): Promise<SlackMessage[]>;
  /** The pictures people see in a message. */
  pictures(message: SlackMessage): { alt: string; png: Buffer }[];
  /** How many files were uploaded. */
  uploads(): number;
  /** Roots, newest first. */
  history(channel?: string): Promise<SlackMessage[]>;
  reactions(ts: string, channel?: string): Promise<string[]>;
  /** Asks again after every call the app makes, until there is an answer. */
  until<T>(find: () => T | undefined | false | Promise<T | undefined | false>, ms?: number): Promise<T>;
  idle(): Promise<void>;
  /** `message` and `update`: the bot's, as stored. `reaction`: its emoji and the message's ts. */
  readonly events: EventEmitter<{
    message: [SlackMessage];
    update: [SlackMessage];
    reaction: [string, string];
  }>;
  readonly calls: readonly ApiCall[];
  count(method: string): number;
  readonly deliveries: readonly Delivery[];
  /** Holds deliveries back; `release` sends them all at once, in this order (default: the last first). */
  hold(): void;
  release(order?: <T>(all: T[]) => T[]): void;
  fault(fault: SlackFault): void;
  sockets(): number;
  /** Slack recycles the Socket Mode connections. */
  refresh(): void;
}

const TEAM = 'T000000001';
const APP = 'A0COMIO';
const BOT = 'U0COMIO';
const BOT_ID = 'B0COMIO';
const GROUP = 'S0OPERATORS';

/** A local Slack: emulate's Web API behind our edge, and the people on the other side. */
export async function createSlackPeer(
  options: { retryMs?: readonly number[]; ackMs?: number } = {},
): Promise<SlackPeer> {
  const env = {
    SLACK_BOT_TOKEN: 'xoxb-local',
    SLACK_APP_TOKEN: 'xapp-local',
    SLACK_SIGNING_SECRET: 'local-signing-secret',
  };
  const names = ['ada', 'bob', 'gus', 'sam'] as const;
  const emulator = await createEmulator({
    service: 'slack',
    port: 0,
    seed: {
      slack: {
        team: { name: 'Recipes Inc', domain: 'recipes' },
        users: names.map((name) => ({ name, real_name: name[0]?.toUpperCase() + name.slice(1) })),
        channels: [{ name: 'dev' }],
        oauth_apps: [
          {
            app_id: APP,
            client_id: 'local',
            client_secret: 'local',
            name: 'Comio',
            redirect_uris: [],
            bot_id: BOT_ID,
            bot_user_id: BOT,
            bot_name: 'comio',
          },
        ],
        tokens: [
          // The scopes the manifest asks for are all the bot has, so a forgotten one shows here.
          {
            token: env.SLACK_BOT_TOKEN,
            type: 'bot',
            user: BOT,
            bot_id: BOT_ID,
            bot_user_id: BOT,
            app_id: APP,
            scopes: createManifest().oauth_config?.scopes?.bot ?? [],
          },
          ...names.map((name) => ({ token: `xoxp-${name}`, type: 'user', user: name })),
        ],
        strict_scopes: true,
      },
    },
  });
  const delivery = createDelivery({
    signingSecret: env.SLACK_SIGNING_SECRET,
    retryMs: options.retryMs ?? [100, 500, 2000],
    ackMs: options.ackMs ?? 3000,
  });
  const users: PeerUser[] = [];
  const groups = new Map([[GROUP, new Set<string>()]]);
  const edge = await createSlackEdge({
    emulator: emulator.url,
    botToken: env.SLACK_BOT_TOKEN,
    appToken: env.SLACK_APP_TOKEN,
    users,
    groups,
    onSocket: (socket) => delivery.connect(socket, APP),
  });

  const asUser = (name: string) => `xoxp-${name}`;
  const listed = await edge.ask('users.list', asUser('ada'), {});
  const idOf = (name: string): string => {
    const members = Array.isArray(listed.members) ? (listed.members as Json[]) : [];
    const found = members.find((member) => member.name === name);
    if (!found) throw new Error(`no user ${name}`);
    return String(found.id);
  };
  const flags: Record<string, Json> = {
    gus: { is_restricted: true },
    sam: { team_id: 'T0ELSEWHERE', is_stranger: true },
  };
  for (const name of names)
    users.push({ id: idOf(name), name, token: asUser(name), flags: flags[name] ?? {} });
  groups.get(GROUP)?.add(idOf('ada')).add(idOf('gus'));
  const channels = await edge.ask('conversations.list', asUser('ada'), {});
  const channelList = Array.isArray(channels.channels) ? (channels.channels as Json[]) : [];
  const dev = String(channelList.find((channel) => channel.name === 'dev')?.id);

  const ids = {
    app: APP,
    team: TEAM,
    bot: BOT,
    channel: dev,
    group: GROUP,
    ada: idOf('ada'),
    bob: idOf('bob'),
    gus: idOf('gus'),
    sam: idOf('sam'),
  };
  const person = (id: string): PeerUser => {
    const found = users.find((user) => user.id === id || user.name === id);
    if (!found) throw new Error(`no user ${id}`);
    return found;
  };

  async function ask(method: string, token: string, body: Json): Promise<Json> {
    const answer = await edge.ask(method, token, body);
    if (answer.ok !== true) throw new Error(`${method}: ${String(answer.error)}`);
    return answer;
  }

  const stored = (channel: string, message: Json): SlackMessage => ({
    ts: String(message.ts),
    channel,
    user: String(message.user),
    text: String(message.text ?? ''),
    thread: String(message.thread_ts ?? message.ts),
    blocks: Array.isArray(message.blocks) ? message.blocks : [],
    reactions: Array.isArray(message.reactions) ? (message.reactions as SlackMessage['reactions']) : [],
  });
  /** A person's token sees what people see; direct messages only theirs. */
  const viewer = (channel: string): string => directs.get(channel) ?? asUser('ada');
  const directs = new Map<string, string>();

  async function thread(ts: string, channel = dev): Promise<SlackMessage[]> {
    const answer = await ask('conversations.replies', viewer(channel), { channel, ts });
    return messagesIn(answer).map((message) => stored(channel, message));
  }

  async function history(channel = dev): Promise<SlackMessage[]> {
    const answer = await ask('conversations.history', viewer(channel), { channel, limit: 1000 });
    return messagesIn(answer).map((message) => stored(channel, message));
  }

  async function message(ts: string, channel: string): Promise<SlackMessage | undefined> {
    for (const root of await history(channel)) {
      if (root.ts === ts) return root;
    }
    for (const root of await history(channel)) {
      const found = (await thread(root.ts, channel)).find((one) => one.ts === ts);
      if (found) return found;
    }
    return undefined;
  }

  const kindOf = (channel: string): string => (channel.startsWith('D') ? 'im' : 'channel');

  function event(what: string, event: Json, copies: number): void {
    const envelope = {
      token: 'local-verification-token',
      team_id: TEAM,
      context_team_id: TEAM,
      api_app_id: APP,
      event,
      type: 'event_callback',
      event_id: `Ev${randomUUID().replaceAll('-', '').slice(0, 10).toUpperCase()}`,
      event_time: Math.floor(Date.now() / 1000),
      authorizations: [
        { enterprise_id: null, team_id: TEAM, user_id: BOT, is_bot: true, is_enterprise_install: false },
      ],
      is_ext_shared_channel: false,
    };
    for (let copy = 0; copy < copies; copy += 1) delivery.send('events_api', what, envelope);
  }

  const events = new EventEmitter<{
    message: [SlackMessage];
    update: [SlackMessage];
    reaction: [string, string];
  }>();
  const listeners = new Set<Promise<void>>();
  /** The app hears of its own messages too, as in a workspace. */
  async function echo(call: ApiCall, answer: Json): Promise<void> {
    const channel = String(answer.channel ?? call.body.channel);
    const raw = answer.message as Json | undefined;
    const own = { bot_id: BOT_ID, app_id: APP, team: TEAM, channel, channel_type: kindOf(channel) };
    if (call.method === 'chat.postMessage' && raw) {
      events.emit('message', stored(channel, raw));
      event('message', { ...raw, ...own, type: 'message', event_ts: raw.ts }, 1);
    } else if (call.method === 'chat.update' && raw) {
      events.emit('update', stored(channel, raw));
      const changed = {
        type: 'message',
        subtype: 'message_changed',
        hidden: true,
        channel,
        channel_type: kindOf(channel),
      };
      event(
        'message',
        {
          ...changed,
          message: { ...raw, ...own },
          previous_message: raw,
          ts: raw.ts,
          event_ts: raw.ts,
        },
        1,
      );
    } else if (call.method === 'reactions.add') {
      events.emit('reaction', String(call.body.name), String(call.body.timestamp));
    }
  }
  edge.changes.on('call', (call, answer) => {
    if (answer.ok !== true) return;
    const work = echo(call, answer).finally(() => listeners.delete(work));
    listeners.add(work);
  });

  return {
    env: { ...env, SLACK_API_URL: edge.url, SLACK_OPERATORS: GROUP },
    ids,
    events,
    calls: edge.calls,
    deliveries: delivery.attempts,
    deliverTo: delivery.deliverTo,
    count: (method) => edge.calls.filter((call) => call.method === method).length,
    fault: (fault) => void edge.faults.push({ ...fault }),
    sockets: () => delivery.sockets.size,
    refresh: delivery.refresh,
    idle: delivery.idle,
    hold: delivery.hold,
    release: delivery.release,
    thread,
    history,
    pictures: (message) =>
      imagesIn(message.blocks).flatMap(({ file, alt }) => {
        const found = edge.files.get(file);
        return found?.completed ? [{ alt, png: found.bytes }] : [];
      }),
    uploads: () => edge.files.size,

    async say({ channel = dev, user, text, thread: root, copies = 1 }) {
      const by = person(user);
      const wire = typed(text, BOT);
      const body = { channel, text: wire, ...(root === undefined ? {} : { thread_ts: root }) };
      const sent = await ask('chat.postMessage', by.token, body);
      const ts = String(sent.ts);
      const said = {
        client_msg_id: randomUUID(),
        text: wire,
        user: by.id,
        ts,
        event_ts: ts,
        team: TEAM,
        channel,
        ...(root === undefined ? {} : { thread_ts: root, parent_user_id: BOT }),
      };
      const direct = kindOf(channel) === 'im';
      if (wire.includes(`<@${BOT}>`) && !direct)
        event('app_mention', { type: 'app_mention', ...said }, copies);
      event('message', { type: 'message', ...said, channel_type: kindOf(channel) }, copies);
      return ts;
    },

    slash({ channel = dev, user, text, copies = 1 }) {
      const by = person(user);
      const trigger = `${Date.now()}.${randomUUID().slice(0, 8)}.${randomUUID().replaceAll('-', '')}`;
      const form = {
        token: 'local-verification-token',
        team_id: TEAM,
        team_domain: 'recipes',
        channel_id: channel,
        channel_name: 'dev',
        user_id: by.id,
        user_name: by.name,
        command: '/comio',
        text: typed(text, BOT),
        api_app_id: APP,
        is_enterprise_install: 'false',
        response_url: 'http://127.0.0.1:9/commands',
        trigger_id: trigger,
      };
      for (let copy = 0; copy < copies; copy += 1) delivery.send('slash_commands', '/comio', form);
      return trigger;
    },

    async press({ channel = dev, ts, user, actionId, copies = 1 }) {
      const by = person(user);
      const on = await message(ts, channel);
      const button = buttonsOf(on?.blocks).find(
        (one) =>
          one.actionId === actionId ||
          one.actionId.replace(/#\d+$/, '') === actionId ||
          one.label === actionId,
      );
      if (!on || !button) throw new Error(`there is no button ${actionId} on ${ts}`);
      const at = {
        message_ts: ts,
        channel_id: channel,
        ...(on.thread === ts ? {} : { thread_ts: on.thread }),
      };
      const seconds = Date.now() / 1000;
      const payload = {
        type: 'block_actions',
        user: { id: by.id, username: by.name, name: by.name, team_id: TEAM },
        api_app_id: APP,
        token: 'local-verification-token',
        container: { type: 'message', is_ephemeral: false, ...at },
        trigger_id: randomUUID(),
        team: { id: TEAM, domain: 'recipes' },
        enterprise: null,
        is_enterprise_install: false,
        channel: { id: channel, name: 'dev' },
        message: {
          type: 'message',
          user: on.user,
          bot_id: BOT_ID,
          ts,
          text: on.text,
          blocks: on.blocks,
          ...(on.thread === ts ? {} : { thread_ts: on.thread }),
        },
        state: { values: {} },
        response_url: 'http://127.0.0.1:9/actions',
        actions: [{ ...button.element, block_id: button.blockId, action_ts: seconds.toFixed(6) }],
      };
      for (let copy = 0; copy < copies; copy += 1) delivery.send('interactive', 'block_actions', payload);
    },

    async direct(user) {
      const by = person(user);
      const answer = await ask('conversations.open', by.token, { users: BOT });
      const id = String((answer.channel as Json).id);
      directs.set(id, by.token);
      return id;
    },

    async remove(channel, ts) {
      await ask('chat.delete', env.SLACK_BOT_TOKEN, { channel, ts });
    },

    async reactions(ts, channel = dev) {
      return (await message(ts, channel))?.reactions.map(({ name }) => name) ?? [];
    },

    async until(find, ms = 120_000) {
      const end = Date.now() + ms;
      for (;;) {
        // Listening begins before the question, so that no change falls between the two.
        const waiting = new AbortController();
        const change = new Promise<void>((resolve) => {
          const wake = () => resolve();
          const timer = setTimeout(wake, 200);
          edge.changes.once('call', wake);
          waiting.signal.addEventListener('abort', () => {
            clearTimeout(timer);
            edge.changes.off('call', wake);
          });
        });
        try {
          const found = await find();
          if (found) return found;
          if (Date.now() > end) {
            const last = edge.calls.slice(-5).map(({ method, outcome }) => `${method} ${outcome}`);
            throw new Error(`what was waited for did not happen; the app's last calls: ${last.join(', ')}`);
          }
          await change;
        } finally {
          waiting.abort();
        }
      }
    },

    async [Symbol.asyncDispose]() {
      await delivery.stop();
      await Promise.all(listeners);
      await edge.close();
      await emulator.close();
    },
  };
}

/** What Slack's client sends for what a person types. */
const typed = (text: string, bot: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/@comio\b/gi, `<@${bot}>`)
    .replace(/\bhttps?:\/\/[^\s<>]+/g, (url) => `<${url}>`);
