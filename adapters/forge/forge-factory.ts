import type { z } from 'zod';
import type { Logger } from '#observability/log.ts';
import type { Forge } from './forge.ts';

/** One environment variable a forge reads; the configuration parses it and hands the value over. */
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

export interface ForgeFactory<Env extends Record<string, SettingSpec> = Record<string, SettingSpec>> {
  readonly env: Env;
  /** True when the settings say how to sign in. */
  configured(settings: Settings<Env>): boolean;
  /** Loads the forge's library; connects nothing yet. Throws {@link ForgeError} `invalid` when it is not configured. */
  create(settings: Settings<Env>, log: Logger): Promise<Forge>;
}
