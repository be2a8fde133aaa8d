import type { z } from 'zod';
import type { Provider } from './llm.ts';

/** One environment variable a provider reads; the configuration parses it and hands the value over. */
export interface SettingSpec {
  schema: z.ZodType;
  /** The value must never be shown. */
  secret?: boolean | undefined;
  /** One line for the configuration table. */
  help: string;
}

export type Settings<Env extends Record<string, SettingSpec>> = {
  readonly [Name in keyof Env]: z.output<Env[Name]['schema']>;
};

export interface ProviderFactory<Env extends Record<string, SettingSpec> = Record<string, SettingSpec>> {
  readonly env: Env;
  /** Used when LLM_MODEL is not set. */
  readonly defaultModel: string;
  /** True when the settings say where this provider is and how to sign in. */
  configured(settings: Settings<Env>): boolean;
  create(settings: Settings<Env>): Provider;
}
