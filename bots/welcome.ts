import type { Hono } from 'hono';
import { chooseModel } from '#adapters/llm/choose-model.ts';
import { providers } from '#adapters/llm/providers/index.ts';
import type { Config } from '#core/config.ts';
import { inviteLink } from './discord/invite.ts';
import { mountGitHubSetup } from './github/setup.ts';
import { type env, surfaces } from './index.ts';
import { missing } from './missing.ts';
import { manifestLink } from './slack/manifest.ts';

type ServiceConfig = Config<typeof env>;

const GITHUB_SETUP = '/setup/github';

/** What a person reads after `npm start`: where it is, and what is missing to be useful. */
export function welcome(config: ServiceConfig, url: string, canOpenApps: boolean): string {
  const base = config.PUBLIC_URL ?? url;
  const hints = {
    slack: `create the app: ${manifestLink(config.PUBLIC_URL)}`,
    github: `create the app: ${base}${GITHUB_SETUP}`,
    discord: config.DISCORD_APPLICATION_ID
      ? `invite the bot: ${inviteLink(config.DISCORD_APPLICATION_ID)}`
      : 'create an application at https://discord.com/developers/applications, set DISCORD_APPLICATION_ID for the invite link',
  };
  const lines = [`Comio is at ${url} (status page, /healthz, /readyz, /metrics)`];
  for (const [name, surface] of Object.entries(surfaces)) {
    const lacking = missing(surface, config);
    if (lacking.length > 0)
      lines.push(`  ${name.padEnd(8)} off: set ${lacking.join(', ')}; ${hints[name as keyof typeof hints]}`);
    else lines.push(`  ${name.padEnd(8)} on`);
  }
  lines.push(`  model    ${modelLine(config)}`);
  if (!canOpenApps)
    lines.push(
      '  apps     only this machine can open what is deployed: set DEPLOY_DOMAIN, point *.DEPLOY_DOMAIN here',
    );
  return `${lines.join('\n')}\n`;
}

/** The one-click GitHub App creation, for as long as there is no App. */
export function mountSetup(app: Hono, config: ServiceConfig): void {
  if (missing(surfaces.github, config).length === 0) return;
  mountGitHubSetup(app, {
    path: GITHUB_SETUP,
    publicUrl: config.PUBLIC_URL,
    githubUrl: config.GITHUB_URL,
    apiUrl: config.GITHUB_API_URL,
  });
}

function modelLine(config: ServiceConfig): string {
  const chosen = chooseModel(config);
  if (!chosen) return 'none: set ANTHROPIC_API_KEY, OPENAI_API_KEY or OLLAMA_HOST';
  const name = config.LLM_PROVIDER;
  if (name && !providers[name].configured(config))
    return `none: LLM_PROVIDER is ${name}, which is not set up`;
  return `${chosen.provider.name}, ${chosen.model}`;
}
