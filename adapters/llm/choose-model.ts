import type { Provider } from './llm.ts';
import type { Settings } from './provider-factory.ts';
import { type env, providers } from './providers/index.ts';

export interface ChosenModel {
  provider: Provider;
  model: string;
}

/** The provider and model the settings ask for; undefined when they name none and none is configured. */
export function chooseModel(settings: Settings<typeof env>): ChosenModel | undefined {
  const names = Object.keys(providers) as (keyof typeof providers)[];
  const name = settings.LLM_PROVIDER ?? names.find((one) => providers[one].configured(settings));
  if (name === undefined) return undefined;
  return {
    provider: providers[name].create(settings),
    model: settings.LLM_MODEL ?? providers[name].defaultModel,
  };
}
