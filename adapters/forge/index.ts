import type { ForgeFactory, SettingSpec } from './forge-factory.ts';
import { env as githubEnv } from './github-settings.ts';

export const forges = {
  github: {
    env: githubEnv,
    configured: (settings) =>
      settings.GITHUB_APP_ID !== undefined && settings.GITHUB_PRIVATE_KEY !== undefined,
    create: async (settings, log) => (await import('./github.ts')).createGitHubForge(settings, log),
  } satisfies ForgeFactory<typeof githubEnv>,
} satisfies Record<string, ForgeFactory>;

export const env = { ...githubEnv } satisfies Record<string, SettingSpec>;
