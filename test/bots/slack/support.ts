import { env, type SlackSettings } from '#bots/slack/settings.ts';
import { createLogger } from '#observability/log.ts';
import type { SlackPeer } from '#test/peers/slack.ts';

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
    SLACK_BOT_TOKEN: env.SLACK_BOT_TOKEN.schema.parse(values['SLACK_BOT_TOKEN']),
    SLACK_APP_TOKEN: env.SLACK_APP_TOKEN.schema.parse(values['SLACK_APP_TOKEN']),
    SLACK_SIGNING_SECRET: env.SLACK_SIGNING_SECRET.schema.parse(values['SLACK_SIGNING_SECRET']),
    SLACK_OPERATORS: env.SLACK_OPERATORS.schema.parse(values['SLACK_OPERATORS']),
    SLACK_API_URL: env.SLACK_API_URL.schema.parse(values['SLACK_API_URL']),
    SLACK_UPDATE_MS: env.SLACK_UPDATE_MS.schema.parse(values['SLACK_UPDATE_MS']),
  };
}
