import { z } from 'zod';
import type { EnvOf, EnvSpec } from '#core/config.ts';

export const env = {
  DISCORD_TOKEN: {
    schema: z.string().min(1).optional(),
    secret: true,
    help: 'Bot token of your Discord application; unset: no Discord.',
  },
  DISCORD_APPLICATION_ID: {
    schema: z.string().regex(/^\d+$/, 'must be the number on the application’s page').optional(),
    help: 'Id of your Discord application, for the invite link.',
  },
  DISCORD_OPERATOR_ROLES: {
    schema: z
      .string()
      .regex(/^(\*|[\d\s,]*)$/, 'must be role ids separated by commas, or *')
      .optional(),
    help: 'Ids of the roles that may start runs, separated by commas; a server’s id: all its members; `*`: everybody who reaches the bot (then switch "Public Bot" off).',
  },
  DISCORD_API_URL: {
    schema: z.url().optional(),
    help: 'Where Discord’s REST API is, without the version; for a local peer.',
  },
  DISCORD_MESSAGE_CONTENT: {
    schema: z.enum(['true', 'false']).default('true'),
    help: 'Ask for the message content intent. Without it Comio reads only mentions, commands and direct messages.',
  },
  DISCORD_UPDATE_MS: {
    schema: z.coerce.number().int().min(0).default(2000),
    help: 'Least milliseconds between two edits in one thread.',
  },
} satisfies EnvSpec;

export type DiscordSettings = EnvOf<typeof env>;
