import { z } from 'zod';
import type { Inbound } from '#core/conversations/surface.ts';
import { channelRoot, conversationAt, messageAt, type Self, timeOf } from './address.ts';
import { actionIdOf } from './render.ts';
import { mentions, plainText } from './text.ts';

export const COMMAND = '/comio';

const envelope = z.object({
  type: z.literal('event_callback'),
  api_app_id: z.string(),
  event: z.unknown(),
});

/** Every other subtype is not somebody speaking: edits, deletions, joins, topics, bots. */
const message = z.object({
  type: z.enum(['message', 'app_mention']),
  subtype: z.enum(['file_share', 'thread_broadcast']).optional(),
  channel: z.string(),
  channel_type: z.string().optional(),
  user: z.string(),
  text: z.string().default(''),
  ts: z.string(),
  thread_ts: z.string().optional(),
  bot_id: z.undefined().optional(),
});

const command = z.object({
  command: z.literal(COMMAND),
  api_app_id: z.string(),
  channel_id: z.string(),
  user_id: z.string(),
  user_name: z.string().default(''),
  text: z.string().default(''),
  trigger_id: z.string(),
});

const press = z.object({
  type: z.literal('block_actions'),
  api_app_id: z.string(),
  user: z.object({ id: z.string(), username: z.string().optional(), name: z.string().optional() }),
  container: z.object({
    type: z.literal('message'),
    message_ts: z.string(),
    channel_id: z.string(),
    thread_ts: z.string().optional(),
  }),
  message: z.object({ thread_ts: z.string().optional() }).optional(),
  actions: z.tuple([
    z.object({
      type: z.literal('button'),
      action_id: z.string(),
      action_ts: z.string(),
      value: z.string().default(''),
    }),
  ]),
});

/**
 * What Slack sent, as what a person said; undefined when nobody said anything to us or near us. All deliveries of one
 * message, and both of the events a mention makes, give the same. `now` dates slash commands, which carry no time.
 */
export function parse(body: unknown, self: Self, now: Date): Inbound | undefined {
  const event = envelope.safeParse(body).data;
  if (event) return parseMessage(event.event, event.api_app_id, self);
  return parseCommand(body, self, now) ?? parsePress(body, self);
}

function parseMessage(event: unknown, app: string, self: Self): Inbound | undefined {
  const said = message.safeParse(event).data;
  if (!said || said.user === self.userId) return undefined;
  const conversation = conversationAt(self.team, said.channel, said.thread_ts ?? said.ts);
  return {
    id: ['slack', app, self.team, said.channel, said.ts].join(':'),
    conversation,
    author: { id: said.user, name: said.user, claims: [] },
    kind: 'message',
    text: plainText(said.text, self.userId),
    // Not by the kind of event: a mention arrives as two kinds, and the first to come is kept.
    addressed: mentions(said.text, self.userId) || isDirect(said.channel),
    sentAt: timeOf(said.ts),
    reactTo: messageAt(conversation, said.channel, said.ts),
  };
}

/** Direct message channels begin with D; `app_mention` carries no channel type. */
const isDirect = (channel: string): boolean => channel.startsWith('D');

function parseCommand(body: unknown, self: Self, now: Date): Inbound | undefined {
  const typed = command.safeParse(body).data;
  if (!typed) return undefined;
  return {
    id: `slack:cmd:${typed.trigger_id}`,
    conversation: channelRoot(self.team, typed.channel_id, typed.trigger_id),
    author: { id: typed.user_id, name: typed.user_name || typed.user_id, claims: [] },
    kind: 'message',
    text: plainText(typed.text, self.userId),
    addressed: true,
    explicit: true,
    sentAt: now.toISOString(),
  };
}

function parsePress(body: unknown, self: Self): Inbound | undefined {
  const pressed = press.safeParse(body).data;
  if (!pressed) return undefined;
  const { user, container } = pressed;
  const [action] = pressed.actions;
  const { channel_id: channel, message_ts: ts } = container;
  return {
    id: ['slack:act', pressed.api_app_id, self.team, channel, ts, action.action_ts, user.id].join(':'),
    conversation: conversationAt(self.team, channel, pressed.message?.thread_ts ?? container.thread_ts ?? ts),
    author: { id: user.id, name: user.name ?? user.username ?? user.id, claims: [] },
    kind: 'action',
    text: '',
    addressed: true,
    sentAt: timeOf(action.action_ts),
    action: { id: actionIdOf(action.action_id), value: action.value },
  };
}
