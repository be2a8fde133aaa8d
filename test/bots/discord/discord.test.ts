import { ChannelType, PermissionsBitField } from 'discord.js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDiscord } from '#bots/discord/discord.ts';
import { inviteLink } from '#bots/discord/invite.ts';
import { type DiscordSettings, env } from '#bots/discord/settings.ts';
import { textCard } from '#core/conversations/card.ts';
import { VERBS } from '#core/conversations/command.ts';
import type { Inbound, Receive, Surface } from '#core/conversations/surface.ts';
import { createLogger } from '#observability/log.ts';
import { createDiscordPeer, type DiscordPeer } from '#test/peers/discord.ts';

let peer: DiscordPeer;
let surfaces: Surface[];
let inbox: Inbound[];
const images = new Map([['plot', new Uint8Array([137, 80, 78, 71])]]);

beforeEach(async () => {
  peer = await createDiscordPeer();
  surfaces = [];
  inbox = [];
});
afterEach(async () => {
  for (const surface of surfaces) await surface[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

function settings(more: Partial<DiscordSettings> = {}): DiscordSettings {
  return {
    DISCORD_TOKEN: peer.token,
    DISCORD_APPLICATION_ID: peer.ids.application,
    DISCORD_OPERATOR_ROLES: peer.ids.operators,
    DISCORD_API_URL: peer.url,
    DISCORD_MESSAGE_CONTENT: 'true',
    DISCORD_UPDATE_MS: 0,
    ...more,
  };
}

/** Claims each id once, like the core's inbox. */
const claim: Receive = (inbound) => {
  if (inbox.some((other) => other.id === inbound.id)) return Promise.resolve('duplicate');
  inbox.push(inbound);
  return Promise.resolve('claimed');
};

function create(more: { settings?: Partial<DiscordSettings>; receive?: Receive } = {}): Surface {
  const surface = createDiscord({
    settings: settings(more.settings),
    receive: more.receive ?? claim,
    images: { png: async (id) => images.get(id) },
    log: createLogger('silent'),
  });
  surfaces.push(surface);
  return surface;
}
async function started(more: Parameters<typeof create>[0] = {}): Promise<Surface> {
  const surface = create(more);
  await surface.start();
  return surface;
}
const said = (text: string): Promise<Inbound> =>
  vi.waitFor(
    () => {
      const found = inbox.find((inbound) => inbound.text === text);
      if (!found)
        throw new Error(`"${text}" has not arrived; there are: ${inbox.map((i) => i.text).join(' | ')}`);
      return found;
    },
    { timeout: 60_000 },
  );

test('a mention becomes a thread, a reaction and a card that is edited', async () => {
  const surface = await started();
  expect(surface.status()).toEqual({ connected: true, detail: 'comio#0001 in 1 server' });
  const ada = peer.person('Ada', [peer.ids.operators]);
  const message = peer.say({ in: peer.ids.channel, by: ada, text: 'new a recipe API', mention: 'bot' });
  const inbound = await said('new a recipe API');
  expect(inbound).toMatchObject({
    addressed: true,
    author: { name: 'Ada', claims: [peer.ids.guild, peer.ids.operators] },
  });

  if (!inbound.reactTo) throw new Error('nothing to react to');
  await surface.react(inbound.reactTo, 'seen');
  await surface.react(inbound.reactTo, 'seen');
  expect(peer.reactions(message.id)).toEqual(['👀']);

  const ref = await surface.post(inbound.conversation, textCard('Working', 'working', 'one'), 'card-1');
  await surface.post(inbound.conversation, textCard('Working', 'working', 'two'), 'card-2');
  expect(peer.channel(message.id)).toMatchObject({ parent: peer.ids.channel, name: 'new a recipe API' });
  await surface.update(ref, textCard('Done', 'success', 'changed'), 'card-1');
  expect(peer.messages(message.id).map(peer.text)).toEqual(['### Done\nchanged', '### Working\ntwo']);
  expect(ref.url).toBe(`https://discord.com/channels/${peer.ids.guild}/${message.id}/${ref.at.message}`);

  peer.say({ in: message.id, by: ada, text: 'use PostgreSQL' });
  expect(await said('use PostgreSQL')).toMatchObject({
    addressed: false,
    conversation: { key: inbound.conversation.key },
  });
});

test('talk in a channel is not heard', async () => {
  await started();
  const ada = peer.person('Ada');
  peer.say({ in: peer.ids.channel, by: ada, text: 'lunch?' });
  peer.say({ in: peer.ids.channel, by: ada, text: 'comio?', mention: 'role' });
  await said('comio?');
  expect(inbox).toHaveLength(1);
});

test('a command at a channel’s root is stored, then acknowledged; the first post makes its thread', async () => {
  let release = () => {};
  const stored = new Promise<void>((resolve) => {
    release = resolve;
  });
  const surface = await started({
    receive: async (inbound) => {
      inbox.push(inbound);
      await stored;
      return 'claimed';
    },
  });
  const ada = peer.person('Ada');
  const id = peer.slash({
    in: peer.ids.channel,
    by: ada,
    verb: 'new',
    options: { description: 'a recipe API' },
  });
  const inbound = await said('new a recipe API');
  expect(peer.answers(id)).toEqual([]);
  release();
  await expect.poll(() => peer.answers(id)).toHaveLength(1);
  expect(peer.answers(id)[0]).toMatchObject({ type: 4, data: { flags: 64 } });

  expect(inbound.conversation.rootless).toBe(true);
  expect(await surface.find(inbound.conversation, 'card-1')).toBeUndefined();
  const ref = await surface.post(inbound.conversation, textCard('Working', 'working'), 'card-1');
  const [root] = peer.messages(peer.ids.channel);
  expect(ref.at).toEqual({ channel: peer.ids.channel, message: root?.id });
  expect(ref.conversation).toMatchObject({ key: `${peer.ids.guild}/${root?.id}` });
  expect(ref.conversation.rootless).toBeUndefined();
  expect(peer.channel(root?.id ?? '')).toMatchObject({ name: 'new a recipe API' });

  await surface.post(ref.conversation, textCard('Next', 'neutral'), 'card-2');
  expect(peer.messages(root?.id ?? '').map(peer.text)).toEqual(['### Next']);
});

test('a first post that died before its thread is found, and the thread started', async () => {
  const surface = await started();
  const ada = peer.person('Ada');
  peer.slash({ in: peer.ids.channel, by: ada, verb: 'fix' });
  const { conversation } = await said('fix');
  peer.fault({
    method: 'POST',
    path: /threads$/,
    end: { status: 403, code: 50013, message: 'Missing Permissions' },
  });
  await expect(surface.post(conversation, textCard('Working', 'working'), 'card-1')).rejects.toMatchObject({
    code: 'forbidden',
  });
  const found = await surface.find(conversation, 'card-1');
  const [root, ...more] = peer.messages(peer.ids.channel);
  expect(more).toEqual([]);
  expect(found?.conversation.key).toBe(`${peer.ids.guild}/${root?.id}`);
  expect(peer.channel(root?.id ?? '')?.parent).toBe(peer.ids.channel);
});

test('a press is stored, then acknowledged once, however often it is delivered', async () => {
  const surface = await started();
  const ada = peer.person('Ada');
  peer.say({ in: peer.ids.channel, by: ada, text: 'fix', mention: 'bot' });
  const { conversation } = await said('fix');
  const stop = { id: 'stop', label: 'Stop', style: 'danger' as const, value: 'run:7' };
  await surface.post(conversation, { ...textCard('Working', 'working'), actions: [stop] }, 'card-1');
  const [card] = peer.messages(conversation.key.split('/')[1] ?? '');
  if (!card) throw new Error('no card');
  expect(peer.buttons(card)).toEqual(['Stop']);
  const id = peer.press({ on: card, by: ada, label: 'Stop', deliver: 3 });
  await expect.poll(() => peer.answers(id)).toEqual([{ type: 6 }]);
  expect(inbox.filter((inbound) => inbound.kind === 'action')).toMatchObject([
    { action: { id: 'stop', value: 'run:7' }, conversation: { key: conversation.key } },
  ]);
});

test('three deliveries of a message are one', async () => {
  await started();
  const ada = peer.person('Ada');
  peer.say({ in: peer.ids.channel, by: ada, text: 'status', mention: 'bot', deliver: 3 });
  peer.say({ in: peer.ids.channel, by: ada, text: 'help', mention: 'bot' });
  await said('help');
  expect(inbox.map((inbound) => inbound.text).sort()).toEqual(['help', 'status']);
});

test('a message the database refuses at first is offered again', async () => {
  let refusals = 1;
  await started({
    receive: (inbound) => (refusals-- > 0 ? Promise.reject(new Error('no connection')) : claim(inbound)),
  });
  peer.say({ in: peer.ids.channel, by: peer.person('Ada'), text: 'status', mention: 'bot' });
  await said('status');
});

test('a post whose answer was lost is not sent twice', async () => {
  const surface = await started();
  const thread = peer.thread(peer.ids.channel, 'recipes');
  const conversation = { surface: 'discord' as const, key: 'k', at: { guild: peer.ids.guild, thread } };
  peer.fault({ method: 'POST', path: /messages$/, end: 'cut' });
  const sent = await surface.post(conversation, textCard('Once', 'neutral'), 'card-1').catch(() => undefined);
  const found = await surface.find(conversation, 'card-1');
  expect(found).toBeDefined();
  if (sent) expect(found).toEqual(sent);
  expect(await surface.find(conversation, 'card-2')).toBeUndefined();
  const again = await surface.post(conversation, textCard('Once', 'neutral'), 'card-1');
  expect(again).toEqual(found);
  expect(peer.messages(thread)).toHaveLength(1);
});

test('a lost connection is resumed, and what was said meanwhile arrives', async () => {
  const surface = await started();
  const ada = peer.person('Ada');
  peer.drop();
  peer.say({ in: peer.ids.channel, by: ada, text: 'status', mention: 'bot' });
  await said('status');
  await expect.poll(() => surface.status().connected).toBe(true);
});

test('what was said while no session was open is caught up with, roles included', async () => {
  const ada = peer.person('Ada', [peer.ids.operators]);
  peer.say({ in: peer.ids.channel, by: ada, text: 'lunch?' });
  peer.say({ in: peer.ids.channel, by: ada, text: 'status', mention: 'bot' });
  const thread = peer.thread(peer.ids.channel, 'recipes');
  peer.say({ in: thread, by: ada, text: 'and use PostgreSQL' });
  const surface = await started();
  const { author, conversation } = await said('status');
  await said('and use PostgreSQL');
  expect(inbox).toHaveLength(2);
  expect(await surface.role(author, conversation)).toMatchObject({ role: 'operator' });

  peer.drop({ forget: true });
  peer.say({ in: thread, by: ada, text: 'after the session was lost' });
  await said('after the session was lost');
});

test('without the message content intent mentions, commands and direct messages still work', async () => {
  peer.allowMessageContent(false);
  const surface = await started();
  expect(surface.status()).toEqual({
    connected: true,
    detail: 'comio#0001 in 1 server, mentions and commands only',
  });
  const ada = peer.person('Ada');
  const thread = peer.thread(peer.ids.channel, 'recipes');
  peer.say({ in: thread, by: ada, text: 'not readable' });
  peer.say({ in: thread, by: ada, text: 'readable', mention: 'bot' });
  peer.say({ in: peer.directChannel(), by: ada, text: 'private' });
  await said('readable');
  expect(await said('private')).toMatchObject({ addressed: true, author: { claims: [] } });
  expect(inbox).toHaveLength(2);
});

test('a bad token says so', async () => {
  const surface = create({ settings: { DISCORD_TOKEN: `${peer.token.slice(0, -1)}_` } });
  await expect(surface.start()).rejects.toMatchObject({ name: 'SurfaceError', code: 'forbidden' });
  expect(surface.status()).toEqual({ connected: false, detail: 'An invalid token was provided.' });
  const none = create({ settings: { DISCORD_TOKEN: undefined } });
  await expect(none.start()).rejects.toMatchObject({ code: 'invalid' });
  expect(none.status()).toEqual({ connected: false, detail: 'DISCORD_TOKEN is not set' });
});

test('what cannot be done any more is `gone`, and other refusals have their codes', async () => {
  const surface = await started();
  const thread = peer.thread(peer.ids.channel, 'recipes');
  const conversation = { surface: 'discord' as const, key: 'k', at: { guild: peer.ids.guild, thread } };
  const card = textCard('Card', 'neutral');

  const old = peer.oldMessage(thread, 2 * 3_600_000);
  const oldRef = { conversation, at: { channel: thread, message: old.id } };
  await expect(surface.update(oldRef, card, 'k')).rejects.toMatchObject({ code: 'gone' });

  const ref = await surface.post(conversation, card, 'card-1');
  const limited = { status: 429, code: 0, message: 'slow down', retryAfter: 60 };
  peer.fault({ method: 'PATCH', path: /messages/, end: limited });
  await expect(surface.update(ref, card, 'card-1')).rejects.toMatchObject({ code: 'rate_limited' });

  peer.archive(thread);
  await expect(surface.update(ref, card, 'card-1')).rejects.toMatchObject({ code: 'gone' });
  const fresh = await surface.post(conversation, card, 'card-2');
  await surface.update(fresh, card, 'card-2');

  const [first] = peer.messages(thread).slice(-1);
  if (!first) throw new Error('no message');
  peer.deleteMessage(first);
  await expect(surface.update(fresh, card, 'card-2')).rejects.toMatchObject({ code: 'gone' });
  await expect(surface.react(fresh, 'done')).rejects.toMatchObject({ code: 'gone' });
  // The nonce of the deleted message must not swallow the one in its place.
  await surface.post(conversation, textCard('Afresh', 'neutral'), 'card-2');
  expect(peer.messages(thread).map(peer.text)).toContain('### Afresh');

  const nowhere = { ...conversation, at: { guild: peer.ids.guild, thread: '1' } };
  await expect(surface.post(nowhere, card, 'card-3')).rejects.toMatchObject({ code: 'gone' });
  const denied = { status: 403, code: 50013, message: 'Missing Permissions' };
  peer.fault({ method: 'POST', path: /messages$/, end: denied });
  await expect(surface.post(conversation, card, 'card-4')).rejects.toMatchObject({ code: 'forbidden' });
});

test('a limit that is soon over is waited for', async () => {
  const surface = await started();
  const thread = peer.thread(peer.ids.channel, 'recipes');
  const conversation = { surface: 'discord' as const, key: 'k', at: { guild: peer.ids.guild, thread } };
  const end = { status: 429, code: 0, message: 'slow down', retryAfter: 0.05 };
  peer.fault({ method: 'POST', path: /messages$/, end });
  await surface.post(conversation, textCard('Card', 'neutral'), 'card-1');
  expect(peer.messages(thread)).toHaveLength(1);
});

test('roles decide, and fail closed', async () => {
  const conversation = { surface: 'discord' as const, key: 'k', at: { guild: peer.ids.guild, thread: '1' } };
  const direct = { ...conversation, at: { guild: '@me', thread: '1' } };
  const cook = { id: '1', name: 'Ada', claims: [peer.ids.guild, peer.ids.operators] };
  const guest = { id: '2', name: 'Bob', claims: [peer.ids.guild] };
  const asked = async (roles: string | undefined, person: typeof cook, where = conversation) =>
    create({ settings: { DISCORD_OPERATOR_ROLES: roles } }).role(person, where);

  expect(await asked(undefined, cook)).toMatchObject({
    role: 'viewer',
    reason: expect.stringContaining('set DISCORD_OPERATOR_ROLES'),
  });
  expect(await asked('', cook)).toMatchObject({ role: 'viewer' });
  expect(await asked(` ${peer.ids.operators} , 5`, cook)).toMatchObject({ role: 'operator' });
  expect(await asked(peer.ids.operators, guest)).toMatchObject({ role: 'viewer' });
  expect(await asked(peer.ids.guild, guest)).toMatchObject({ role: 'operator' });
  expect(await asked('*', { ...guest, claims: [] }, direct)).toMatchObject({ role: 'operator' });
  expect(await asked(peer.ids.operators, { ...cook, claims: [] }, direct)).toMatchObject({
    role: 'viewer',
    reason: expect.stringContaining('Direct messages'),
  });
});

test('a voice channel’s chat is a conversation by itself', async () => {
  const surface = await started();
  const voice = peer.addChannel(ChannelType.GuildVoice, 'standup');
  peer.say({ in: voice, by: peer.person('Ada'), text: 'status', mention: 'bot' });
  const { conversation } = await said('status');
  await surface.post(conversation, textCard('Idle', 'neutral'), 'card-1');
  expect(peer.messages(voice).map(peer.text)).toContain('### Idle');
});

test('the command is registered with every verb, and the link invites with what it needs', async () => {
  await started();
  const [command, ...others] = peer.commands();
  expect(others).toEqual([]);
  expect(command?.options?.map((option) => option.name)).toEqual(Object.keys(VERBS));
  const link = new URL(inviteLink('42'));
  expect(link.searchParams.get('client_id')).toBe('42');
  expect(link.searchParams.get('scope')).toBe('bot applications.commands');
  const permissions = new PermissionsBitField(BigInt(link.searchParams.get('permissions') ?? 0));
  expect(permissions.toArray().sort()).toEqual([
    'AddReactions',
    'AttachFiles',
    'CreatePublicThreads',
    'ReadMessageHistory',
    'SendMessages',
    'SendMessagesInThreads',
    'ViewChannel',
  ]);
});

test('a picture stays with its message over a restart, and goes with its block', async () => {
  const first = await started();
  peer.say({ in: peer.ids.channel, by: peer.person('Ada'), text: 'look', mention: 'bot' });
  const { conversation } = await said('look');
  const card = {
    ...textCard('Slow', 'danger'),
    blocks: [{ type: 'image' as const, id: 'plot', alt: 'p95' }],
  };
  const ref = await first.post(conversation, card, 'card');
  const second = await started();
  await second.update(ref, { ...card, title: 'Slower' }, 'card');
  const [message] = peer.messages(String(ref.at.channel));
  if (!message) throw new Error('it was posted');
  expect(peer.text(message)).toBe('### Slower');
  expect(peer.pictures(message)).toEqual([{ alt: 'p95', png: Buffer.from([137, 80, 78, 71]) }]);
  expect(peer.uploads()).toBe(1);
  await second.update(ref, textCard('Fine', 'success'), 'card');
  expect(peer.pictures(message)).toEqual([]);
  // Cut off after its effect: the same message and the same file.
  peer.fault({ method: 'POST', path: /messages$/, end: 'cut' });
  await second.post(conversation, card, 'again').catch(() => second.post(conversation, card, 'again'));
  expect(peer.messages(String(ref.at.channel))).toHaveLength(2);
  expect(peer.uploads()).toBe(2);
});

test('settings are validated', () => {
  expect(env.DISCORD_OPERATOR_ROLES.schema.safeParse('1, 2').success).toBe(true);
  expect(env.DISCORD_OPERATOR_ROLES.schema.safeParse('admins').success).toBe(false);
  expect(env.DISCORD_UPDATE_MS.schema.parse(undefined)).toBe(2000);
});
