import { createHmac } from 'node:crypto';
import { Hono } from 'hono';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createManifest, manifestLink } from '#bots/slack/manifest.ts';
import { createSlack } from '#bots/slack/slack.ts';
import { textCard } from '#core/conversations/card.ts';
import type { Images } from '#core/conversations/images.ts';
import type { Inbound, Receive, Surface } from '#core/conversations/surface.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import { createBareBolt } from '#test/bench/bare-bolt.ts';
import { createSlackPeer, type SlackPeer } from '#test/peers/slack.ts';
import { connectSlack, noImages, quietLog, settingsFor } from './support.ts';

interface Scene {
  peer: SlackPeer;
  surface: Surface;
  heard: Inbound[];
}

async function scene(
  way: 'http' | 'socket',
  options: { receive?: Receive; settings?: Record<string, string | undefined>; ackMs?: number } = {},
  images: Pick<Images, 'png'> = noImages,
): Promise<Scene> {
  const peer = await createSlackPeer({ retryMs: [20, 40, 80], ackMs: options.ackMs ?? 3000 });
  const heard: Inbound[] = [];
  const receive: Receive = async (inbound) => {
    const answer = (await options.receive?.(inbound)) ?? 'claimed';
    heard.push(inbound);
    return answer;
  };
  const connected = await connectSlack(peer, way, receive, options.settings, images);
  onTestFinished(async () => {
    await peer.idle();
    await connected[Symbol.asyncDispose]();
    await peer[Symbol.asyncDispose]();
  });
  return { peer, surface: connected.surface, heard };
}

const first = async ({ peer, heard }: Scene, text = '@comio hello'): Promise<Inbound> => {
  await peer.say({ user: 'ada', text });
  await peer.idle();
  const inbound = heard.at(-1);
  if (!inbound) throw new Error('nothing was heard');
  return inbound;
};

const failure = async (work: Promise<unknown>): Promise<SurfaceError> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof SurfaceError)) throw new Error(`no SurfaceError: ${String(error)}`);
  return error;
};

describe.each(['http', 'socket'] as const)('Slack over %s', (way) => {
  it('is told again what it could not store, and acknowledges only what it could', async () => {
    let refusals = 2;
    const failing: Receive = async () => {
      refusals -= 1;
      if (refusals >= 0) throw new Error('the database is away');
      return 'claimed';
    };
    const { peer, heard } = await scene(way, { receive: failing, ackMs: 200 });
    // Not a mention: one event, so that the attempts are its own.
    await peer.say({ user: 'ada', text: 'anybody here' });
    await peer.idle();
    expect(heard.map(({ text }) => text)).toEqual(['anybody here']);
    expect(peer.deliveries.map(({ ok, attempt }) => [ok, attempt])).toEqual([
      [false, 0],
      [false, 1],
      [true, 2],
    ]);
    if (way === 'http') expect(peer.deliveries.map(({ status }) => status)).toEqual([500, 500, 200]);
  });

  it('makes the first answer to a slash command the thread, and shows the channel what was asked', async () => {
    const it = await scene(way);
    it.peer.slash({ user: 'ada', text: 'new an API for cooking recipes', copies: 3 });
    await it.peer.idle();
    expect(new Set(it.heard.map(({ id }) => id)).size).toBe(1);
    const [command] = it.heard;
    if (!command) throw new Error('the command was not heard');
    expect(command).toMatchObject({ text: 'new an API for cooking recipes', addressed: true });
    expect(command.conversation.rootless).toBe(true);
    expect(JSON.parse(it.peer.deliveries[0]?.answer ?? '')).toEqual({ response_type: 'in_channel' });

    expect(await it.surface.find(command.conversation, 'k1')).toBeUndefined();
    const root = await it.surface.post(command.conversation, textCard('On it', 'working'), 'k1');
    expect(root.conversation.rootless).toBeUndefined();
    // After a crash in between, the root is found and its thread with it.
    expect(await it.surface.find(command.conversation, 'k1')).toEqual(root);
    await it.surface.post(root.conversation, textCard('Done', 'success'), 'k2');
    const ts = String(root.at.ts);
    expect(await it.peer.thread(ts)).toHaveLength(2);
    await it.peer.say({ user: 'ada', text: 'and tests', thread: ts });
    await it.peer.idle();
    expect(it.heard.at(-1)?.conversation).toEqual(root.conversation);
  });

  it('answers direct messages in a thread of theirs', async () => {
    const it = await scene(way);
    const channel = await it.peer.direct('ada');
    const ts = await it.peer.say({ channel, user: 'ada', text: 'help' });
    await it.peer.idle();
    const [said] = it.heard;
    if (!said) throw new Error('nothing was heard');
    expect(said).toMatchObject({ addressed: true, text: 'help' });
    await it.surface.post(said.conversation, textCard('Here to help', 'neutral'), 'k');
    expect((await it.peer.thread(ts, channel)).map(({ user }) => user)).toEqual([
      it.peer.ids.ada,
      it.peer.ids.bot,
    ]);
  });
});

describe('Slack over Socket Mode', () => {
  it('connects again when Slack recycles the connection', async () => {
    const it = await scene('socket');
    const before = it.peer.count('apps.connections.open');
    it.peer.refresh();
    await it.peer.until(
      () => it.peer.sockets() === 1 && it.peer.count('apps.connections.open') === before + 1,
    );
    await first(it, '@comio still there');
    expect(it.heard.at(-1)?.text).toBe('still there');
    await it.peer.until(() => it.surface.status().connected);
  });

  it('keeps trying while Slack is away', async () => {
    const it = await scene('socket');
    const before = it.peer.count('apps.connections.open');
    it.peer.fault({ method: 'apps.connections.open', times: 1, status: 503 });
    it.peer.fault({ method: 'apps.connections.open', times: 1, error: 'internal_error' });
    it.peer.refresh();
    await it.peer.until(
      () => it.peer.sockets() === 1 && it.peer.count('apps.connections.open') === before + 3,
    );
    await it.peer.until(() => it.surface.status().connected);
  });
});

describe('Slack over HTTP', () => {
  const sign = (body: string, secret: string, timestamp = Math.floor(Date.now() / 1000)) => ({
    'content-type': 'application/json',
    'x-slack-request-timestamp': String(timestamp),
    'x-slack-signature': `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`,
  });

  async function mounted() {
    const heard: Inbound[] = [];
    const settings = settingsFor(
      {
        env: {
          SLACK_API_URL: 'http://127.0.0.1:9/',
          SLACK_BOT_TOKEN: 'xoxb-1',
          SLACK_SIGNING_SECRET: 's3',
          SLACK_APP_TOKEN: 'xapp-1',
          SLACK_OPERATORS: '*',
        },
      },
      'http',
    );
    const surface = createSlack({
      settings,
      images: noImages,
      log: quietLog,
      receive: async (inbound) => {
        heard.push(inbound);
        return 'claimed';
      },
    });
    const app = new Hono();
    surface.mount(app);
    return { app, heard, surface };
  }
  const challenge = JSON.stringify({ type: 'url_verification', challenge: 'abc' });

  it('answers the challenge when the signature is right', async () => {
    const { app } = await mounted();
    const post = (headers: Record<string, string>) =>
      app.request('/slack/events', { method: 'POST', body: challenge, headers });
    const right = await post(sign(challenge, 's3'));
    expect([right.status, await right.json()]).toEqual([200, { challenge: 'abc' }]);
    for (const headers of [
      sign(challenge, 'wrong'),
      sign(`${challenge} `, 's3'),
      sign(challenge, 's3', Math.floor(Date.now() / 1000) - 600),
      { 'content-type': 'application/json' },
      { ...sign(challenge, 's3'), 'x-slack-request-timestamp': 'soon' },
    ])
      expect((await post(headers)).status).toBe(401);
  });

  it('asks Slack to come again while it is not connected yet', async () => {
    const { app, heard } = await mounted();
    const body = JSON.stringify({ type: 'event_callback', api_app_id: 'A', event: { type: 'message' } });
    const response = await app.request('/slack/events', { method: 'POST', body, headers: sign(body, 's3') });
    expect(response.status).toBe(503);
    expect(heard).toEqual([]);
  });

  it('says what is missing when there is neither token nor secret', () => {
    const settings = { ...settingsFor({ env: {} as never }, 'http'), SLACK_UPDATE_MS: 3000 };
    expect(() =>
      createSlack({ settings, images: noImages, log: quietLog, receive: async () => 'claimed' }),
    ).toThrow('SLACK_APP_TOKEN or SLACK_SIGNING_SECRET');
  });
});

describe('a picture on Slack', () => {
  const png = new Uint8Array([137, 80, 78, 71]);
  const images = { png: async (id: string) => (id === 'plot' ? png : undefined) };
  const card = {
    ...textCard('Slow', 'danger'),
    blocks: [{ type: 'image' as const, id: 'plot', alt: 'p95' }],
  };

  it('is not uploaded again after a restart, nor when the message was sent and not noted', async () => {
    const { peer, surface, heard } = await scene('http', {}, images);
    const inbound = await first({ peer, surface, heard });
    const ref = await surface.post(inbound.conversation, card, 'key');
    const restarted = await connectSlack(peer, 'http', async () => 'claimed', {}, images);
    onTestFinished(() => restarted[Symbol.asyncDispose]());
    const found = await restarted.surface.find(inbound.conversation, 'key');
    expect(found?.at).toEqual(ref.at);
    await restarted.surface.update(ref, { ...card, title: 'Slower' }, 'key');
    expect(peer.uploads()).toBe(1);
    const shown = (await peer.thread(inbound.conversation.at.thread as string)).at(-1);
    expect(shown && peer.pictures(shown)).toEqual([{ alt: 'p95', png: Buffer.from(png) }]);
  });

  it('is waited for while Slack works on it, and told in words when Slack will not have it', async () => {
    const { peer, surface, heard } = await scene('http', {}, images);
    const inbound = await first({ peer, surface, heard });
    const last = async () => (await peer.thread(inbound.conversation.at.thread as string)).at(-1);
    peer.fault({ method: 'chat.postMessage', times: 1, error: 'invalid_blocks' });
    await surface.post(inbound.conversation, card, 'soon');
    expect((await last())?.blocks).toContainEqual(
      expect.objectContaining({ type: 'image', alt_text: 'p95' }),
    );
    peer.fault({ method: 'chat.postMessage', times: 3, error: 'invalid_blocks' });
    await surface.post(inbound.conversation, card, 'never');
    expect((await last())?.blocks).toContainEqual(
      expect.objectContaining({ type: 'section', text: expect.objectContaining({ text: 'p95' }) }),
    );
  });
});

describe('Slack refuses', () => {
  it('in the words of the port', async () => {
    const it = await scene('http');
    const inbound = await first(it);
    const post = () => it.surface.post(inbound.conversation, textCard('x', 'neutral'), 'k');
    const cases = [
      [{ retryAfter: 7 }, 'rate_limited'],
      [{ error: 'not_in_channel' }, 'forbidden'],
      [{ error: 'token_revoked' }, 'forbidden'],
      [{ error: 'invalid_blocks' }, 'invalid'],
      [{ error: 'internal_error' }, 'unavailable'],
      [{ status: 502 }, 'unavailable'],
    ] as const;
    for (const [fault, code] of cases) {
      it.peer.fault({ method: 'chat.postMessage', times: 1, ...fault });
      const error = await failure(post());
      expect(error.code).toBe(code);
      expect(error.retryAfterMs).toBe('retryAfter' in fault ? 7000 : undefined);
    }
    // One call each: the outbox is who tries again.
    expect(it.peer.count('chat.postMessage')).toBe(cases.length);
    await post();
  });

  it('to start with a token it does not know', async () => {
    const peer = await createSlackPeer();
    onTestFinished(() => peer[Symbol.asyncDispose]());
    const settings = settingsFor(peer, 'http', { SLACK_BOT_TOKEN: 'xoxb-unknown' });
    const surface = createSlack({
      settings,
      receive: async () => 'claimed',
      images: noImages,
      log: quietLog,
    });
    expect((await failure(surface.start())).code).toBe('forbidden');
    expect(surface.status().connected).toBe(false);
  });
});

describe('who may start runs on Slack', () => {
  const roleOf = async ({ peer, surface, heard }: Scene, user: string): Promise<string> => {
    await peer.say({ user, text: '@comio may I' });
    await peer.idle();
    const inbound = heard.at(-1);
    if (!inbound) throw new Error('nothing was heard');
    return (await surface.role(inbound.author, inbound.conversation)).role;
  };

  it('*: every full member, no guest, nobody from elsewhere', async () => {
    const it = await scene('http', { settings: { SLACK_OPERATORS: '*' } });
    const roles = [];
    for (const user of ['ada', 'bob', 'gus', 'sam']) roles.push(await roleOf(it, user));
    expect(roles).toEqual(['operator', 'operator', 'viewer', 'viewer']);
  });

  it('a group: its members, but no guest in it; asked once a minute', async () => {
    const it = await scene('http');
    const roles = [];
    for (const user of ['ada', 'bob', 'gus', 'ada']) roles.push(await roleOf(it, user));
    expect(roles).toEqual(['operator', 'viewer', 'viewer', 'operator']);
    expect(it.peer.count('usergroups.users.list')).toBe(1);
  });

  it('ids: these users', async () => {
    const peer = await createSlackPeer();
    onTestFinished(() => peer[Symbol.asyncDispose]());
    const settings = settingsFor(peer, 'http', { SLACK_OPERATORS: `${peer.ids.bob}, S0GONE` });
    const surface = createSlack({
      settings,
      receive: async () => 'claimed',
      images: noImages,
      log: quietLog,
    });
    await surface.start();
    const at = { surface: 'slack' as const, key: 'k', at: {} };
    const role = async (id: string) => (await surface.role({ id, name: id, claims: [] }, at)).role;
    expect([await role(peer.ids.bob), await role(peer.ids.ada), await role('U0NOBODY')]).toEqual([
      'operator',
      'viewer',
      'viewer',
    ]);
  });
});

describe('the Slack app', () => {
  it('is created with one click, by Socket Mode or with the address filled in', () => {
    const read = (link: string) => JSON.parse(new URL(link).searchParams.get('manifest_json') ?? '');
    expect(read(manifestLink()).settings).toMatchObject({ socket_mode_enabled: true });
    const manifest = createManifest('https://comio.example');
    expect(read(manifestLink('https://comio.example'))).toEqual(manifest);
    const url = 'https://comio.example/slack/events';
    expect(manifest.settings).toMatchObject({
      socket_mode_enabled: false,
      event_subscriptions: { request_url: url },
      interactivity: { request_url: url },
    });
    expect(manifest.features?.slash_commands?.[0]?.url).toBe(url);
    // Slack cuts addresses somewhere past 8,000 characters.
    expect(manifestLink('https://comio.example').length).toBeLessThan(4000);
  });
});

describe('the bare Bolt app we measure beside', () => {
  it('echoes a mention in its thread', async () => {
    const peer = await createSlackPeer();
    onTestFinished(() => peer[Symbol.asyncDispose]());
    await using bare = await createBareBolt({
      signingSecret: peer.env.SLACK_SIGNING_SECRET,
      token: peer.env.SLACK_BOT_TOKEN,
      slackApiUrl: peer.env.SLACK_API_URL,
    });
    peer.deliverTo(`${bare.url}/slack/events`);
    const ts = await peer.say({ user: 'ada', text: '@comio hi' });
    const echo = await peer.until(async () => (await peer.thread(ts))[1]);
    expect(echo.user).toBe(peer.ids.bot);
    await peer.idle();
  });
});
