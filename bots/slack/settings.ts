import { z } from 'zod';
import type { EnvOf, EnvSpec } from '#core/config.ts';

export const env = {
  SLACK_BOT_TOKEN: {
    schema: z.string().startsWith('xoxb-', 'must be a bot token (xoxb-…)').optional(),
    secret: true,
    help: 'Bot token of your Slack app (xoxb-…); unset: no Slack.',
  },
  SLACK_APP_TOKEN: {
    schema: z.string().startsWith('xapp-', 'must be an app-level token (xapp-…)').optional(),
    secret: true,
    help: 'App-level token with connections:write (xapp-…): Socket Mode, which needs no public address.',
  },
  SLACK_SIGNING_SECRET: {
    schema: z.string().min(1).optional(),
    secret: true,
    help: 'Signing secret of your Slack app: events over HTTP, at PUBLIC_URL/slack/events.',
  },
  SLACK_OPERATORS: {
    schema: z
      .string()
      .regex(
        /^(\*|[USW\dA-Z\s,]*)$/,
        'must be user ids (U…) and user group ids (S…) separated by commas, or *',
      )
      .optional(),
    help: 'Who may start runs: ids of users (U…) and user groups (S…), separated by commas; `*`: every full member of the workspace.',
  },
  SLACK_API_URL: {
    schema: z.url().optional(),
    help: 'Where Slack’s Web API is, with its trailing slash; for a local peer.',
  },
  SLACK_UPDATE_MS: {
    schema: z.coerce.number().int().min(0).default(3000),
    help: 'Least milliseconds between two edits in one thread.',
  },
} satisfies EnvSpec;

export type SlackSettings = EnvOf<typeof env>;
