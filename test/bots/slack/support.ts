import type { Server } from 'node:http';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { env, type SlackSettings } from '#bots/slack/settings.ts';
import { createSlack } from '#bots/slack/slack.ts';
import type { Images } from '#core/conversations/images.ts';
import type { Receive, Surface } from '#core/conversations/surface.ts';
import { createLogger } from '#observability/log.ts';
import type { SlackPeer } from '#test/peers/slack.ts';

/** No card here has a picture. */
export const noImages: Pick<Images, 'png'> = { png: async () => undefined };
export const quietLog = createLogger('silent');

/** The settings as config would parse them. */
export function settingsFor(
  peer: Pick<SlackPeer, 'env'>,
  way: 'http' | 'socket',
  overrides: Record<string, string | undefined> = {},
): SlackSettings {
  const values: Record<string, string | undefined> = {
    ...peer.env,
    ...(way === 'http' ? { SLACK_APP_TOKEN: undefined } : {}),
    ...overrides,
  };
  return {
    SLACK_BOT_TOKEN: env.SLACK_BOT_TOKEN.schema.parse(values.SLACK_BOT_TOKEN),
    SLACK_APP_TOKEN: env.SLACK_APP_TOKEN.schema.parse(values.SLACK_APP_TOKEN),
    SLACK_SIGNING_SECRET: env.SLACK_SIGNING_SECRET.schema.parse(values.SLACK_SIGNING_SECRET),
    SLACK_OPERATORS: env.SLACK_OPERATORS.schema.parse(values.SLACK_OPERATORS),
    SLACK_API_URL: env.SLACK_API_URL.schema.parse(values.SLACK_API_URL),
    SLACK_UPDATE_MS: env.SLACK_UPDATE_MS.schema.parse(values.SLACK_UPDATE_MS),
  };
}

/** The surface against a peer, started, behind a server of its own for HTTP. */
export async function connectSlack(
  peer: SlackPeer,
  way: 'http' | 'socket',
  receive: Receive,
  overrides: Record<string, string | undefined> = {},
  images: Pick<Images, 'png'> = noImages,
): Promise<{ surface: Surface } & AsyncDisposable> {
  const surface = createSlack({
    settings: settingsFor(peer, way, overrides),
    receive,
    images,
    log: quietLog,
  });
  const app = new Hono();
  app.onError((_, context) => context.text('failed', 500));
  surface.mount(app);
  const listening = Promise.withResolvers<number>();
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
    listening.resolve(port),
  ) as Server;
  peer.deliverTo(`http://127.0.0.1:${await listening.promise}/slack/events`);
  await surface.start();
  return {
    surface,
    async [Symbol.asyncDispose]() {
      await surface[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
