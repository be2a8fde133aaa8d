import { z } from 'zod';
import type { SettingSpec, Settings } from './forge-factory.ts';

/** `\n` written out, as environment files need it, becomes a line break. */
const privateKey = z
  .string()
  .transform((text) => text.replaceAll('\\n', '\n').trim())
  .pipe(
    z
      .string()
      .regex(
        /^-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+-----END [A-Z ]*PRIVATE KEY-----$/,
        'must be the whole PEM file, line breaks as they are or as \\n',
      ),
  );

const address = (fallback: string) =>
  z
    .url()
    .default(fallback)
    .transform((url) => url.replace(/\/+$/, ''));

export const env = {
  GITHUB_APP_ID: {
    schema: z
      .string()
      .regex(/^\w[\w.]*$/, 'must be the App ID of the App’s page')
      .optional(),
    help: 'App ID of your GitHub App.',
  },
  GITHUB_PRIVATE_KEY: {
    schema: privateKey.optional(),
    secret: true,
    help: 'Private key of your GitHub App (PEM; line breaks may be written as \\n).',
  },
  GITHUB_API_URL: {
    schema: address('https://api.github.com'),
    help: 'GitHub’s REST API; for GitHub Enterprise https://HOST/api/v3.',
  },
  GITHUB_URL: {
    schema: address('https://github.com'),
    help: 'Where repositories are read and cloned; for GitHub Enterprise https://HOST.',
  },
  GITHUB_ORG: {
    schema: z
      .string()
      .regex(/^[\w-]+$/, 'must be the name of an account')
      .optional(),
    help: 'Organization in which projects born in chat get their repositories.',
  },
  GITHUB_TOKEN: {
    schema: z.string().min(1).optional(),
    secret: true,
    help: 'Personal access token; needed only to create repositories when GITHUB_ORG is a personal account.',
  },
} satisfies Record<string, SettingSpec>;

export type GitHubAppSettings = Settings<typeof env>;
