import { createAnthropic } from '#adapters/llm/providers/anthropic.ts';
import type { providers } from '#adapters/llm/providers/index.ts';
import { createOllama } from '#adapters/llm/providers/ollama.ts';
import { createOpenAI } from '#adapters/llm/providers/openai.ts';
import { createScripted } from '#adapters/llm/providers/scripted.ts';
import {
  KEY,
  type LlmHarness,
  llmContract,
  type Prepared,
  TEXT,
  TOOL_CALLS,
  TOOL_REQUEST,
} from '#test/contracts/llm.ts';
import { httpHarness } from '#test/contracts/llm-http.ts';
import { anthropicWire, ollamaWire, openaiWire } from '#test/contracts/llm-wire.ts';

const script = {
  scenarios: [
    {
      name: 'packing',
      when: `^${TOOL_REQUEST.replace('?', '\\?')}$`,
      steps: [{ toolCalls: TOOL_CALLS.first }, { toolCalls: TOOL_CALLS.second }],
      final: TOOL_CALLS.final,
    },
    { name: 'hello', when: 'hello', steps: [{ text: TEXT }] },
  ],
};

const scriptedPrepared = async (): Promise<Prepared> => ({
  provider: createScripted(script),
  model: 'scripted',
  [Symbol.asyncDispose]: async () => undefined,
});
const noFarSide = { notSupported: 'it runs in this process: there is no other side that could fail' };

const scriptedHarness: LlmHarness = {
  text: scriptedPrepared,
  tool_loop: scriptedPrepared,
  usage: scriptedPrepared,
  cancel: scriptedPrepared,
  cancel_early: async () => ({
    ...(await scriptedPrepared()),
    provider: createScripted({
      scenarios: [{ name: 'slow', when: 'hello', steps: [{ text: 'x', delayMs: 60_000 }] }],
    }),
  }),
  abandoned: scriptedPrepared,
  rate_limited: noFarSide,
  overloaded_503: noFarSide,
  overloaded_529: noFarSide,
  server_error: noFarSide,
  failed_mid_stream: noFarSide,
  cut_off: noFarSide,
  ended_early: noFarSide,
  malformed: noFarSide,
  wrong_shape: noFarSide,
  wrong_key: noFarSide,
  no_credit: noFarSide,
  context_overflow: { notSupported: 'a script has no context window' },
  bad_request: { notSupported: 'a script is checked when it is loaded, not when it is played' },
  unknown_model: { notSupported: 'every model name plays the same script' },
  empty_answer: { notSupported: 'a step without words and calls says the final text' },
  nobody_there: noFarSide,
};

const harnesses = {
  anthropic: httpHarness((url) => createAnthropic(KEY, url), anthropicWire),
  openai: httpHarness((url) => createOpenAI(KEY, `${url}/v1`), openaiWire),
  ollama: httpHarness((url) => createOllama(url, 8_192), ollamaWire),
  scripted: scriptedHarness,
} satisfies Record<keyof typeof providers, LlmHarness>;

for (const [name, harness] of Object.entries(harnesses)) llmContract(name, harness);
