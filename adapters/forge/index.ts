import type { ForgeFactory, SettingSpec } from './forge-factory.ts';
import { github, env as githubEnv } from './github.ts';

export const forges = { github } satisfies Record<string, ForgeFactory>;

export const env = { ...githubEnv } satisfies Record<string, SettingSpec>;
