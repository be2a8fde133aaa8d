import { z } from 'zod';
import type { GitHubAppSettings } from '#adapters/forge/github-settings.ts';
import type { EnvOf, EnvSpec } from '#core/config.ts';

/** The App itself is configured with the forge: one App clones, pushes and talks. */
export const env = {
  GITHUB_WEBHOOK_SECRET: {
    schema: z.string().min(1).optional(),
    secret: true,
    help: 'Webhook secret of your GitHub App.',
  },
  GITHUB_BOT_NAME: {
    schema: z
      .string()
      .regex(/^[a-z\d](?:[a-z\d-]{0,38})$/i, 'must be a name without @')
      .default('comio'),
    help: 'What people call the bot: `@NAME fix it` and `/NAME fix it` at the start of a line.',
  },
  GITHUB_UPDATE_MS: {
    schema: z.coerce.number().int().min(0).default(10_000),
    help: 'Least milliseconds between two edits in one issue or pull request.',
  },
} satisfies EnvSpec;

export type GitHubSettings = EnvOf<typeof env> & GitHubAppSettings;
