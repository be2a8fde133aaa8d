import { expect, test } from 'vitest';
import { complete, type ModelMessage } from '#adapters/llm/llm.ts';
import { createOllama } from '#adapters/llm/providers/ollama.ts';
import { createOpenAI } from '#adapters/llm/providers/openai.ts';
import { KEY, requestFor } from '#test/contracts/llm.ts';
import { ollamaWire, openaiWire } from '#test/contracts/llm-wire.ts';
import { type PeerAnswer, startLlmPeer } from '#test/peers/llm-http.ts';

const chunk = (delta: object, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
const ask = (content = 'a') => requestFor('m', [{ role: 'user', content }]);
const sse = (chunks: string[]): PeerAnswer => ({ headers: { 'content-type': 'text/event-stream' }, chunks });

const HISTORY: ModelMessage[] = [
  { role: 'user', content: 'weather?' },
  {
    role: 'assistant',
    content: 'Looking.',
    toolCalls: [{ id: 'call_1', name: 'weather', input: { city: 'Oslo' } }],
    opaque: { ollama: { thinking: 'Hm' } },
  },
  { role: 'tool', toolCallId: 'call_1', toolName: 'weather', content: 'no such city', isError: true },
];

test('OpenAI: pieces of parallel calls are put together, and calls without an id get one', async () => {
  await using peer = await startLlmPeer(() =>
    sse([
      chunk({ tool_calls: [{ index: 0, id: 'x', function: { name: 'weather', arguments: '{"ci' } }] }),
      chunk({ tool_calls: [{ index: 1, function: { name: 'pack', arguments: '' } }] }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: 'ty":"Oslo"}' } }] }),
      chunk({}, 'stop'),
    ]),
  );
  const answer = await complete(createOpenAI(KEY, `${peer.url}/v1`), ask());
  expect(answer).toMatchObject({
    stop: 'tool_calls',
    toolCalls: [
      { id: 'x', name: 'weather', input: { city: 'Oslo' } },
      { id: 'call_1_1', name: 'pack', input: {} },
    ],
    usage: { input: 0, output: 0 },
  });
});

test('OpenAI: a refusal and a content filter are refusals', async () => {
  for (const chunks of [
    [chunk({ refusal: 'I will not.' }), chunk({}, 'stop')],
    [chunk({}, 'content_filter')],
  ]) {
    await using peer = await startLlmPeer(() => sse(chunks));
    expect(await complete(createOpenAI(KEY, `${peer.url}/v1`), ask())).toMatchObject({ stop: 'refused' });
  }
});

test('OpenAI: writes the conversation as the API wants it', async () => {
  await using peer = await startLlmPeer(() => sse([...openaiWire.begin('ok'), ...openaiWire.end]));
  await complete(createOpenAI(undefined, `${peer.url}/v1`), requestFor('m', HISTORY));
  expect(peer.bodies[0]).toMatchObject({
    stream_options: { include_usage: true },
    messages: [
      { role: 'system', content: 'You help to pack.' },
      { role: 'user', content: 'weather?' },
      {
        role: 'assistant',
        content: 'Looking.',
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: '[the call failed]\nno such city' },
    ],
  });
});

test.each([
  [{ type: 'exceed_context_size_error' }],
  [{ type: 'BadRequestError', param: 'input_tokens', code: 400 }],
])('OpenAI-compatible servers say in their own way that it is too long: %j', async (error) => {
  await using peer = await startLlmPeer(() => ({ status: 400, chunks: [JSON.stringify({ error })] }));
  const answer = complete(createOpenAI(KEY, `${peer.url}/v1`), ask());
  await expect(answer).rejects.toMatchObject({ code: 'context_overflow' });
});

test('the explanation of a bad request is shown without the key', async () => {
  await using peer = await startLlmPeer(() => openaiWire.errors.bad_request);
  const answer = complete(createOpenAI(KEY, `${peer.url}/v1`), ask());
  await expect(answer).rejects.toMatchObject({
    message: expect.stringContaining('too large for [redacted]'),
  });
});

test('OpenAI itself is not asked without a key', async () => {
  await expect(complete(createOpenAI(undefined), ask())).rejects.toMatchObject({ code: 'auth' });
});

test('Ollama: gets its context length, may not shorten, and gets its thinking back', async () => {
  await using peer = await startLlmPeer(() => ({
    chunks: [
      `${JSON.stringify({ message: { role: 'assistant', content: '', thinking: 'Let me see' }, done: false })}\n`,
      ...ollamaWire.begin('ok'),
      ...ollamaWire.end,
    ],
  }));
  const answer = await complete(createOllama(peer.url, 9_000), requestFor('m', HISTORY));
  expect(answer.opaque).toEqual({ ollama: { thinking: 'Let me see' } });
  expect(peer.bodies[0]).toMatchObject({
    truncate: false,
    shift: false,
    options: { num_ctx: 9_000, num_predict: 1_000 },
    messages: [
      { role: 'system' },
      { role: 'user' },
      {
        role: 'assistant',
        thinking: 'Hm',
        tool_calls: [{ function: { name: 'weather', arguments: { city: 'Oslo' } } }],
      },
      { role: 'tool', tool_name: 'weather', content: '[the call failed]\nno such city' },
    ],
  });
});

test('Ollama: lines may be torn anywhere, also within a character', async () => {
  const bytes = Buffer.from([...ollamaWire.begin('Grüße, 世界'), ...ollamaWire.end].join(''));
  await using peer = await startLlmPeer(() => ({
    chunks: [...bytes].map((_, at) => bytes.subarray(at, at + 1)),
  }));
  expect((await complete(createOllama(peer.url, 9_000), ask())).text).toBe('Grüße, 世界');
});
