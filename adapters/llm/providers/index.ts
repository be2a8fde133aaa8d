import { z } from 'zod';
import type { ProviderFactory, SettingSpec } from '../provider-factory.ts';
import { anthropic, env as anthropicEnv } from './anthropic.ts';
import { ollama, env as ollamaEnv } from './ollama.ts';
import { openai, env as openaiEnv } from './openai.ts';
import { scripted, env as scriptedEnv } from './scripted.ts';

/** In the order in which the first configured one is taken when LLM_PROVIDER is not set. */
export const providers = { anthropic, openai, ollama, scripted } satisfies Record<string, ProviderFactory>;

export const env = {
  LLM_PROVIDER: {
    schema: z.enum(['anthropic', 'openai', 'ollama', 'scripted']).optional(),
    help: 'anthropic, openai, ollama or scripted; unset: the first of them that is configured.',
  },
  LLM_MODEL: { schema: z.string().min(1).optional(), help: 'Model to use; unset: the provider’s default.' },
  ...anthropicEnv,
  ...openaiEnv,
  ...ollamaEnv,
  ...scriptedEnv,
} satisfies Record<string, SettingSpec>;
