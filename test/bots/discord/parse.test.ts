import { readFileSync } from 'node:fs';
import type { APIInteraction, GatewayMessageCreateDispatchData } from 'discord.js';
import { ChannelType } from 'discord.js';
import { expect, test } from 'vitest';
import { parseInteraction, parseMessage } from '#bots/discord/parse.ts';

const GUILD = '1298370000000000001';
const CHANNEL = '1298370000000000002';
const THREAD = '1478000000000000500';

/** Gateway events as the wire has them; that they have the wire's shape is what the fixtures are for. */
function replay<T>(name: string): T {
  const file = new URL(`../../fixtures/replay/discord/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).d;
}

function message(name: string, channelType: ChannelType) {
  const payload = replay<GatewayMessageCreateDispatchData>(name);
  return parseMessage(payload, {
    bot: '1298371625430917120',
    botRole: '1298370000000000003',
    channel: { id: payload.channel_id, type: channelType, parent: CHANNEL },
    guild: payload.guild_id,
    member: payload.member,
  });
}
const interaction = (name: string) => parseInteraction(replay<APIInteraction>(name));

test('a mention at a channel’s root opens the conversation of the thread on it', () => {
  expect(message('mention-in-channel', ChannelType.GuildText)).toEqual({
    id: 'discord:1478000000000001001',
    conversation: {
      surface: 'discord',
      key: `${GUILD}/1478000000000001001`,
      at: {
        guild: GUILD,
        parent: CHANNEL,
        thread: '1478000000000001001',
      },
    },
    author: { id: '1178000000000000042', name: 'Ada L.', claims: [GUILD, '1298370000000000009'] },
    kind: 'message',
    text: 'new an API for cooking recipes, ask @Grace for taste',
    addressed: true,
    sentAt: new Date(Number((1478000000000001001n >> 22n) + 1_420_070_400_000n)).toISOString(),
    reactTo: {
      conversation: expect.objectContaining({ key: `${GUILD}/1478000000000001001` }),
      at: { channel: CHANNEL, message: '1478000000000001001' },
      url: `https://discord.com/channels/${GUILD}/${CHANNEL}/1478000000000001001`,
    },
  });
});

test('the bot’s own role counts as its mention', () => {
  expect(message('role-mention-in-channel', ChannelType.GuildText)).toMatchObject({
    text: 'hey  status',
    addressed: true,
  });
});

test('in a thread everything is heard, and a reply to us is addressed', () => {
  const conversation = {
    surface: 'discord',
    key: `${GUILD}/${THREAD}`,
    at: { guild: GUILD, thread: THREAD },
  };
  expect(message('message-in-thread', ChannelType.PublicThread)).toMatchObject({
    conversation,
    text: 'use PostgreSQL instead\n\n  - and keep the indent',
    addressed: false,
  });
  expect(message('reply-in-thread', ChannelType.PublicThread)).toMatchObject({
    conversation,
    text: 'yes, that one',
    addressed: true,
  });
});

test('an attached file is named', () => {
  expect(message('file-in-thread', ChannelType.PublicThread)?.text).toBe(
    'this is the log\n[attached file, not read: build.log]',
  );
});

test('a direct message is addressed and proves no role', () => {
  expect(message('direct-message', ChannelType.DM)).toMatchObject({
    conversation: { key: '@me/1478000000000000800', at: { guild: '@me', thread: '1478000000000000800' } },
    author: { name: 'Ada', claims: [] },
    text: 'ask what do you do?',
    addressed: true,
  });
});

test('where no thread can be started the channel is the conversation', () => {
  expect(message('mention-in-voice-chat', ChannelType.GuildVoice)).toMatchObject({
    conversation: {
      key: `${GUILD}/1298370000000000010`,
      at: { guild: GUILD, thread: '1298370000000000010' },
    },
    text: 'help',
  });
});

test.each([
  ['talk-in-channel', ChannelType.GuildText],
  ['withheld-in-thread', ChannelType.PublicThread],
  ['own-message', ChannelType.PublicThread],
  ['webhook-message', ChannelType.PublicThread],
  ['thread-created-notice', ChannelType.GuildText],
])('%s is not for us', (name, channelType) => {
  expect(message(name, channelType)).toBeUndefined();
});

test('a command at a channel’s root has no thread yet', () => {
  expect(interaction('slash-in-channel')).toEqual({
    id: 'discord:int:1478000000000002001',
    conversation: {
      surface: 'discord',
      key: `${GUILD}/int:1478000000000002001`,
      at: { guild: GUILD, parent: CHANNEL, name: 'import acme/recipes make the tests pass' },
      rootless: true,
    },
    author: { id: '1178000000000000042', name: 'Ada L.', claims: [GUILD, '1298370000000000009'] },
    kind: 'message',
    text: 'import acme/recipes make the tests pass',
    addressed: true,
    sentAt: new Date(Number((1478000000000002001n >> 22n) + 1_420_070_400_000n)).toISOString(),
  });
});

test('a command in a thread or a direct message belongs to it', () => {
  expect(interaction('slash-in-thread')).toMatchObject({
    conversation: { key: `${GUILD}/${THREAD}` },
    text: 'stop',
  });
  expect(interaction('slash-in-direct-message')).toMatchObject({
    conversation: { key: '@me/1478000000000000800' },
    author: { claims: [] },
    text: 'help',
  });
});

test('a press says what was pressed and where', () => {
  expect(interaction('button-in-thread')).toMatchObject({
    id: 'discord:int:1478000000000002004',
    conversation: { key: `${GUILD}/${THREAD}` },
    kind: 'action',
    action: { id: 'undo-confirm', value: 'turn:12' },
    addressed: true,
    reactTo: { at: { channel: THREAD, message: '1478000000000000600' } },
  });
});

test('a press on a card at a channel’s root belongs to the thread on that card', () => {
  expect(interaction('button-on-card-in-channel')).toMatchObject({
    conversation: { key: `${GUILD}/1478000000000000601` },
    action: { id: 'stop', value: '' },
  });
});

test.each(['select-menu', 'autocomplete'])('%s is not ours', (name) => {
  expect(interaction(name)).toBeUndefined();
});
