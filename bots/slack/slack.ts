import { setTimeout as sleep } from 'node:timers/promises';
import { App, webApi } from '@slack/bolt';
import type { Card } from '#core/conversations/card.ts';
import type { Images } from '#core/conversations/images.ts';
import type { MessageRef, Reaction, Receive, Surface } from '#core/conversations/surface.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import type { Logger } from '#observability/log.ts';
import { conversationAt, messageAt, messageOf, permalink, placeOf, type Self } from './address.ts';
import { refusal, toSurfaceError } from './errors.ts';
import { slackLogger } from './log.ts';
import { COMMAND, parse } from './parse.ts';
import { createPeople } from './people.ts';
import { createPictures, filesIn, NO_FILES, type SlackFiles } from './pictures.ts';
import { createHonoReceiver } from './receiver.ts';
import { type Rendered, renderCard } from './render.ts';
import type { SlackSettings } from './settings.ts';
import { createSocketReceiver } from './socket.ts';

export { env } from './settings.ts';

const EMOJIS: Record<Reaction, string> = { seen: 'eyes', done: 'white_check_mark', failed: 'x' };
const EVENT_TYPE = 'comio';
/** Milliseconds a call may take; then the outbox decides. */
const TIMEOUT_MS = 10_000;
const PAGE = 200;
const SEARCH_PAGES = 10;
/** Before a file that was just uploaded is offered again: Slack refuses those it still works on. */
const FILE_WAITS_MS = [500, 1500];

/** Comio on Slack: by Socket Mode when there is an app-level token, else by HTTP. */
export function createSlack(deps: {
  settings: SlackSettings;
  receive: Receive;
  images: Pick<Images, 'png'>;
  log: Logger;
}): Surface {
  const { settings, receive } = deps;
  const log = deps.log.child({ surface: 'slack' });
  const { SLACK_BOT_TOKEN: token, SLACK_APP_TOKEN: appToken, SLACK_SIGNING_SECRET: signingSecret } = settings;
  const clientOptions: webApi.WebClientOptions = {
    logger: slackLogger(log),
    // The outbox tries again, and knows better when.
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    timeout: TIMEOUT_MS,
    ...(settings.SLACK_API_URL === undefined ? {} : { slackApiUrl: settings.SLACK_API_URL }),
  };
  const client = new webApi.WebClient(token, clientOptions);
  let us: Self | undefined;
  const self = (): Self => {
    if (!us) throw new SurfaceError('unavailable', 'Slack is not connected yet');
    return us;
  };
  const pictures = createPictures({ client, images: deps.images, log });
  const people = createPeople({ client, self, operators: settings.SLACK_OPERATORS });

  const http =
    signingSecret === undefined ? undefined : createHonoReceiver(signingSecret, () => us !== undefined);
  const socket =
    appToken === undefined
      ? undefined
      : createSocketReceiver({ appToken, clientOptions: { ...clientOptions }, log });
  const receiver = socket ?? http;
  if (!receiver) throw new SurfaceError('invalid', 'Slack needs SLACK_APP_TOKEN or SLACK_SIGNING_SECRET');

  const bolt = new App({
    receiver,
    authorize: async () => ({
      ...(token === undefined ? {} : { botToken: token }),
      botUserId: self().userId,
    }),
    // Both would look at the payload before we do: what is ours is decided in one place, and nothing is kept in memory.
    ignoreSelf: false,
    convoStore: false,
    logger: slackLogger(log),
    clientOptions,
  });
  async function hear(body: unknown): Promise<void> {
    const inbound = parse(body, self(), new Date());
    if (!inbound) return;
    const author = { ...inbound.author, name: await people.name(inbound.author) };
    await receive({ ...inbound, author });
  }
  for (const event of ['message', 'app_mention']) bolt.event(event, ({ body }) => hear(body));
  bolt.command(COMMAND, async ({ body, ack }) => {
    await hear(body);
    // Shows the others in the channel what was asked.
    await ack({ response_type: 'in_channel' });
  });
  bolt.action(/.*/, async ({ body, ack }) => {
    await hear(body);
    await ack();
  });

  async function call<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw toSurfaceError(error, doing);
    }
  }

  const metadata = (key: string) => ({ event_type: EVENT_TYPE, event_payload: { key } });

  /** The messages of a thread, or of a channel while there is no thread, in pages. */
  async function* pages(channel: string, thread: string | undefined) {
    let cursor: string | undefined;
    for (let page = 0; page < SEARCH_PAGES; page += 1) {
      const query = { channel, limit: PAGE, include_all_metadata: true, ...(cursor ? { cursor } : {}) };
      const answer =
        thread === undefined
          ? await client.conversations.history(query)
          : await client.conversations.replies({ ...query, ts: thread });
      yield answer.messages ?? [];
      cursor = answer.response_metadata?.next_cursor;
      if (!cursor) return;
    }
  }

  /** Sends a card with its pictures; without them when Slack refuses it as it is. */
  async function withPictures<T>(
    card: Card,
    files: SlackFiles,
    send: (rendered: Rendered) => Promise<T>,
  ): Promise<T> {
    for (const wait of files.size === 0 ? [] : [...FILE_WAITS_MS, undefined]) {
      try {
        return await send(renderCard(card, files));
      } catch (error) {
        if (refusal(error) !== 'invalid_blocks') throw error;
        if (wait !== undefined) await sleep(wait);
      }
    }
    if (files.size > 0) {
      pictures.forget(files);
      log.warn(
        { title: card.title },
        'Slack does not take the pictures of a message; they are told in words',
      );
    }
    return send(renderCard(card));
  }

  async function filesShown(ref: MessageRef): Promise<SlackFiles> {
    const { channel, ts: wanted } = messageOf(ref);
    for await (const messages of pages(channel, placeOf(ref.conversation).thread)) {
      const message = messages.find(({ ts }) => ts === wanted);
      if (message) return filesIn(message.blocks ?? []);
    }
    return NO_FILES;
  }

  return {
    name: 'slack',
    pace: { updateMs: settings.SLACK_UPDATE_MS },

    status() {
      const way = socket ? 'Socket Mode' : 'HTTP';
      if (!us) return { connected: false, detail: `${way}, not started` };
      const connected = socket?.connected() ?? true;
      return { connected, detail: `${way}, ${new URL(us.url).host}${connected ? '' : ', connection lost'}` };
    },

    mount(app) {
      if (!socket) http?.mount(app);
    },

    start: () =>
      call('connecting', async () => {
        const { team_id, user_id, url } = await client.auth.test();
        if (!team_id || !user_id || !url)
          throw new SurfaceError('unavailable', 'Slack does not say who we are');
        us = { team: team_id, userId: user_id, url };
        await bolt.start();
      }),

    post: (conversation, card, key) =>
      call('posting', async () => {
        const { team, channel, thread } = placeOf(conversation);
        const sent = await withPictures(card, await pictures.files(card), (rendered) =>
          client.chat.postMessage({
            channel,
            ...rendered,
            ...(thread === undefined ? {} : { thread_ts: thread }),
            metadata: metadata(key),
            unfurl_links: false,
            unfurl_media: false,
          }),
        );
        if (!sent.ts || !sent.channel)
          throw new SurfaceError('unavailable', 'Slack does not say what it posted');
        const root = thread ?? sent.ts;
        const there = thread === undefined ? conversationAt(team, channel, root) : conversation;
        return { ...messageAt(there, sent.channel, sent.ts), url: permalink(self(), channel, sent.ts, root) };
      }),

    find: (conversation, key) =>
      call('looking for a message', async () => {
        const { team, channel, thread } = placeOf(conversation);
        for await (const messages of pages(channel, thread)) {
          for (const { ts, user, metadata } of messages) {
            const ours = user === self().userId && metadata?.event_type === EVENT_TYPE;
            if (!ts || !ours || keyOf(metadata.event_payload) !== key) continue;
            const there = thread === undefined ? conversationAt(team, channel, ts) : conversation;
            return { ...messageAt(there, channel, ts), url: permalink(self(), channel, ts, thread ?? ts) };
          }
        }
        return undefined;
      }),

    update: (ref, card, key) =>
      call('editing', async () => {
        const files = await pictures.files(card, () => filesShown(ref));
        await withPictures(card, files, (rendered) =>
          client.chat.update({ ...messageOf(ref), ...rendered, metadata: metadata(key) }),
        );
      }),

    react: (ref, reaction) =>
      call('reacting', async () => {
        const { channel, ts } = messageOf(ref);
        try {
          await client.reactions.add({ channel, timestamp: ts, name: EMOJIS[reaction] });
        } catch (error) {
          if (refusal(error) !== 'already_reacted') throw error;
        }
      }),

    role: (person) => people.role(person),

    [Symbol.asyncDispose]: async () => {
      await bolt.stop();
    },
  };
}

const keyOf = (payload: unknown): unknown =>
  typeof payload === 'object' && payload !== null && 'key' in payload ? payload.key : undefined;
