import { expect, test } from 'vitest';
import { chooseModel } from '#adapters/llm/choose-model.ts';
import type { Settings } from '#adapters/llm/provider-factory.ts';
import { env, providers } from '#adapters/llm/providers/index.ts';

const settings = (values: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(env).map(([name, { schema }]) => [name, schema.parse(values[name])]),
  ) as Settings<typeof env>;
const chosen = (values: Record<string, string>) => {
  const choice = chooseModel(settings(values));
  return choice && [choice.provider.name, choice.model];
};

test('takes the first configured provider, or the named one', () => {
  expect(chosen({})).toBeUndefined();
  expect(chosen({ ANTHROPIC_API_KEY: 'k', OPENAI_API_KEY: 'k' })).toEqual([
    'anthropic',
    providers.anthropic.defaultModel,
  ]);
  expect(chosen({ OPENAI_BASE_URL: 'http://127.0.0.1:1/v1', LLM_MODEL: 'm' })).toEqual(['openai', 'm']);
  expect(chosen({ OLLAMA_HOST: '127.0.0.1' })).toEqual(['ollama', providers.ollama.defaultModel]);
  expect(chosen({ ANTHROPIC_API_KEY: 'k', LLM_PROVIDER: 'openai' })).toEqual([
    'openai',
    providers.openai.defaultModel,
  ]);
});

test('LLM_PROVIDER names every provider there is', () => {
  expect(env.LLM_PROVIDER.schema.unwrap().options).toEqual(Object.keys(providers));
});

test('every key is marked as a secret', () => {
  const keys = Object.entries(env).filter(([name]) => /KEY|TOKEN$|SECRET/.test(name));
  expect(keys.length).toBeGreaterThan(1);
  for (const [name, setting] of keys)
    expect({ name, secret: 'secret' in setting && setting.secret }).toEqual({ name, secret: true });
});
