import type { EnvSpec } from '#core/config.ts';
import type { Images } from '#core/conversations/images.ts';
import type { Receive, Surface, SurfaceName } from '#core/conversations/surface.ts';
import type { Logger } from '#observability/log.ts';
import { env as discord } from './discord/settings.ts';
import { env as github } from './github/settings.ts';
import { env as slack } from './slack/settings.ts';

export interface SurfaceFactory {
  env: EnvSpec;
  /** Of each of these lists one must be set, or the surface is off. */
  needs: readonly (readonly string[])[];
  /** Loads the platform's library only when the surface is configured. */
  create(deps: {
    settings: never;
    receive: Receive;
    images: Pick<Images, 'png' | 'url'>;
    log: Logger;
  }): Promise<Surface>;
}

/** The registry of surfaces. */
export const surfaces = {
  slack: {
    env: slack,
    needs: [['SLACK_BOT_TOKEN'], ['SLACK_APP_TOKEN', 'SLACK_SIGNING_SECRET']],
    create: async (deps) => (await import('./slack/slack.ts')).createSlack(deps),
  },
  discord: {
    env: discord,
    needs: [['DISCORD_TOKEN']],
    create: async (deps) => (await import('./discord/discord.ts')).createDiscord(deps),
  },
  github: {
    env: github,
    needs: [['GITHUB_APP_ID'], ['GITHUB_PRIVATE_KEY'], ['GITHUB_WEBHOOK_SECRET']],
    create: async (deps) => (await import('./github/github.ts')).createGitHub(deps),
  },
} satisfies Record<SurfaceName, SurfaceFactory>;

export const env = { ...slack, ...discord, ...github };
