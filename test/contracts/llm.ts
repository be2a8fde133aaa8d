import { describe, expect, test } from 'vitest';
import {
  complete,
  LlmError,
  type LlmErrorCode,
  type ModelEvent,
  type ModelMessage,
  type ModelRequest,
  type Provider,
  type Usage,
} from '#adapters/llm/llm.ts';

/** A provider in one situation. */
export interface Prepared extends AsyncDisposable {
  provider: Provider;
  model: string;
  /** Resolves when the far side saw its connection closed by the provider. */
  hungUp?: Promise<void>;
  /** What `usage` has to be; without it, only more than nothing. */
  usage?: Usage;
  /** The contents of the tool results in the last request the far side got. */
  toolResults?: () => string[];
}

export const ANSWERS = ['text', 'tool_loop', 'usage', 'cancel', 'cancel_early', 'abandoned'] as const;

/** What goes wrong on the far side, and the error it has to become. */
export const FAILURES = {
  rate_limited: { code: 'rate_limited', transient: true, retryAfterMs: 7_000 },
  overloaded_503: { code: 'overloaded', transient: true },
  overloaded_529: { code: 'overloaded', transient: true },
  server_error: { code: 'unavailable', transient: true },
  failed_mid_stream: { code: 'unavailable', transient: true },
  cut_off: { code: 'cut_off', transient: true },
  ended_early: { code: 'cut_off', transient: true },
  malformed: { code: 'malformed', transient: true },
  wrong_shape: { code: 'malformed', transient: true },
  wrong_key: { code: 'auth', transient: false },
  no_credit: { code: 'auth', transient: false },
  context_overflow: { code: 'context_overflow', transient: false },
  bad_request: { code: 'bad_request', transient: false },
  unknown_model: { code: 'unknown_model', transient: false },
  empty_answer: { code: 'empty_answer', transient: true },
  nobody_there: { code: 'unavailable', transient: true },
} as const satisfies Record<string, { code: LlmErrorCode; transient: boolean; retryAfterMs?: number }>;

export type Situation = (typeof ANSWERS)[number] | keyof typeof FAILURES;

/** How to get into each situation, or why this provider cannot be in it. */
export type LlmHarness = Record<Situation, (() => Promise<Prepared>) | { notSupported: string }>;

export const KEY = 'sk-canary-0123456789abcdef';
export const TEXT = 'Hello from the other side.';
/** A user message that the far side answers with the tool loop below. */
export const TOOL_REQUEST = 'What shall I pack?';
export const TOOL_CALLS = {
  first: [
    { name: 'weather', input: { city: 'Paris' } },
    { name: 'weather', input: { city: 'Oslo' } },
  ],
  second: [{ name: 'pack', input: { item: 'umbrella', count: 2 } }],
  final: 'Take an umbrella.',
};

const objectSchema = (properties: Record<string, object>) => ({ type: 'object', properties });

export const requestFor = (model: string, messages: readonly ModelMessage[]): ModelRequest => ({
  model,
  system: 'You help to pack.',
  messages,
  tools: [
    {
      name: 'weather',
      description: 'Weather of a city',
      inputSchema: objectSchema({ city: { type: 'string' } }),
    },
    { name: 'pack', description: 'Packs an item', inputSchema: objectSchema({ item: { type: 'string' } }) },
  ],
  maxOutputTokens: 1_000,
});

const say = (content: string): ModelMessage => ({ role: 'user', content });

async function failureOf(work: Promise<unknown>): Promise<LlmError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof LlmError) return error;
    throw error;
  }
  throw new Error('It did not fail');
}

async function drain(stream: AsyncIterable<ModelEvent>, each?: () => void): Promise<ModelEvent[]> {
  const events: ModelEvent[] = [];
  for await (const event of stream) {
    events.push(event);
    each?.();
  }
  return events;
}

/** The behaviour every provider owes to its callers. */
export function llmContract(name: string, harness: LlmHarness): void {
  describe(`model provider ${name}`, () => {
    const inSituation = (
      situation: Situation,
      title: string,
      check: (prepared: Prepared) => Promise<void>,
    ) => {
      const setup = harness[situation];
      if (typeof setup !== 'function') return;
      test(title, async () => {
        await using prepared = await setup();
        await check(prepared);
      });
    };

    inSituation('text', 'streams text in pieces and ends once', async ({ provider, model }) => {
      const events = await drain(provider.stream(requestFor(model, [say('Say hello')])));
      const texts = events.flatMap((event) => (event.type === 'text' ? [event.text] : []));
      expect(texts.join('')).toBe(TEXT);
      expect(texts.length).toBeGreaterThan(1);
      expect(events.filter(({ type }) => type === 'end')).toHaveLength(1);
      expect(events.at(-1)).toMatchObject({ type: 'end', stop: 'end' });
    });

    inSituation('tool_loop', 'carries a loop of parallel and single tool calls', async (prepared) => {
      const { provider, model } = prepared;
      const messages: ModelMessage[] = [say(TOOL_REQUEST)];
      const turn = async () => {
        const answer = await complete(provider, requestFor(model, messages));
        messages.push({
          role: 'assistant',
          content: answer.text,
          toolCalls: answer.toolCalls,
          opaque: answer.opaque,
        });
        return answer;
      };
      const first = await turn();
      expect(first.stop).toBe('tool_calls');
      expect(first.toolCalls.map(({ name, input }) => ({ name, input }))).toEqual(TOOL_CALLS.first);
      expect(new Set(first.toolCalls.map(({ id }) => id)).size).toBe(2);
      for (const [index, { id, name }] of first.toolCalls.entries())
        messages.push({
          role: 'tool',
          toolCallId: id,
          toolName: name,
          content: `rain ${index}`,
          isError: false,
        });

      const second = await turn();
      expect(second.toolCalls.map(({ name, input }) => ({ name, input }))).toEqual(TOOL_CALLS.second);
      const ids = [...first.toolCalls, ...second.toolCalls].map(({ id }) => id);
      expect(new Set(ids).size).toBe(3);
      messages.push(
        { role: 'tool', toolCallId: ids[2] ?? '', toolName: 'pack', content: 'bag is full', isError: true },
        say('Ann: and be quick'),
      );

      const third = await turn();
      expect(third).toMatchObject({ text: TOOL_CALLS.final, toolCalls: [], stop: 'end' });
      const seen = prepared.toolResults?.();
      if (seen) expect(seen).toEqual(['rain 0', 'rain 1', expect.stringMatching(/bag is full$/)]);
    });

    inSituation('usage', 'counts tokens, those of the cache apart', async ({ provider, model, usage }) => {
      const answer = await complete(provider, requestFor(model, [say('Say hello')]));
      if (usage) expect(answer.usage).toEqual(usage);
      else {
        expect(answer.usage.input).toBeGreaterThan(0);
        expect(answer.usage.output).toBeGreaterThan(0);
      }
    });

    inSituation(
      'cancel',
      'ends the request when cancelled in the middle',
      async ({ provider, model, hungUp }) => {
        const abort = new AbortController();
        const request = { ...requestFor(model, [say('Say hello')]), signal: abort.signal };
        const error = await failureOf(drain(provider.stream(request), () => abort.abort()));
        expect(error).toMatchObject({ code: 'aborted', transient: false });
        await hungUp;
        expect(await failureOf(complete(provider, request))).toMatchObject({ code: 'aborted' });
      },
    );

    inSituation('cancel_early', 'ends the request when cancelled before an answer', async (prepared) => {
      const abort = new AbortController();
      const request = { ...requestFor(prepared.model, [say('Say hello')]), signal: abort.signal };
      const failure = failureOf(complete(prepared.provider, request));
      setTimeout(() => abort.abort(), 50);
      expect(await failure).toMatchObject({ code: 'aborted' });
      await prepared.hungUp;
    });

    inSituation(
      'abandoned',
      'ends the request when the reader leaves',
      async ({ provider, model, hungUp }) => {
        for await (const event of provider.stream(requestFor(model, [say('Say hello')]))) {
          expect(event.type).toBe('text');
          break;
        }
        await hungUp;
      },
    );

    for (const [situation, expected] of Object.entries(FAILURES) as [keyof typeof FAILURES, object][]) {
      inSituation(situation, `says what is wrong: ${situation}`, async ({ provider, model }) => {
        const error = await failureOf(complete(provider, requestFor(model, [say('Say hello')])));
        expect(error).toMatchObject(expected);
        expect(error.message).not.toContain(KEY);
        expect(error.message).toMatch(/^\S.*\S$/);
      });
    }
  });
}
