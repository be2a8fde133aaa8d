import { expect, test } from 'vitest';
import { complete, type ModelMessage } from '#adapters/llm/llm.ts';
import { createAnthropic } from '#adapters/llm/providers/anthropic.ts';
import { KEY, requestFor } from '#test/contracts/llm.ts';
import { startLlmPeer } from '#test/peers/llm-http.ts';

const event = (data: { type: string; [field: string]: unknown }) =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
const block = (index: number, start: object, ...deltas: object[]) => [
  event({ type: 'content_block_start', index, content_block: start }),
  ...deltas.map((delta) => event({ type: 'content_block_delta', index, delta })),
  event({ type: 'content_block_stop', index }),
];
const answerOf = (stop: string, ...blocks: string[]) => [
  event({
    type: 'message_start',
    message: { id: 'm', content: [], usage: { input_tokens: 1, output_tokens: 1 } },
  }),
  ...blocks,
  event({ type: 'message_delta', delta: { stop_reason: stop }, usage: { output_tokens: 2 } }),
  event({ type: 'message_stop' }),
];
const THINKING = [
  ...block(
    0,
    { type: 'thinking', thinking: '', signature: '' },
    { type: 'thinking_delta', thinking: 'Hm' },
    { type: 'signature_delta', signature: 'sig' },
  ),
  ...block(1, { type: 'redacted_thinking', data: 'secret' }),
  ...block(2, { type: 'text', text: '' }, { type: 'text_delta', text: 'Looking.' }),
  ...block(
    3,
    { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} },
    { type: 'input_json_delta', partial_json: '{"city":' },
    { type: 'input_json_delta', partial_json: '"Oslo"}' },
  ),
];

const served = (chunks: string[]) =>
  startLlmPeer(() => ({ headers: { 'content-type': 'text/event-stream' }, chunks }));
const CACHED = { cache_control: { type: 'ephemeral' } };

test('marks tools, system prompt and the last two turns of the user for the cache, and merges tool results', async () => {
  await using peer = await served(answerOf('end_turn', ...block(0, { type: 'text', text: 'ok' })));
  const call = (id: string) => ({ id, name: 'weather', input: {} });
  const messages: ModelMessage[] = [
    { role: 'user', content: 'first' },
    { role: 'assistant', content: ' ', toolCalls: [call('a'), call('b')] },
    { role: 'tool', toolCallId: 'a', toolName: 'weather', content: 'rain', isError: false },
    { role: 'tool', toolCallId: 'b', toolName: 'weather', content: '', isError: true },
    { role: 'assistant', content: '', toolCalls: [] },
    { role: 'user', content: 'quick' },
  ];
  await complete(createAnthropic(KEY, peer.url), requestFor('m', messages));
  expect(peer.bodies).toMatchObject([
    {
      system: [{ type: 'text', ...CACHED }],
      tools: [{ name: 'weather' }, { name: 'pack', ...CACHED }],
    },
  ]);
  expect(peer.bodies[0]).toHaveProperty('messages', [
    { role: 'user', content: [{ type: 'text', text: 'first', ...CACHED }] },
    {
      role: 'assistant',
      content: [
        { type: 'tool_use', id: 'a', name: 'weather', input: {} },
        { type: 'tool_use', id: 'b', name: 'weather', input: {} },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'a', is_error: false, content: 'rain' },
        { type: 'tool_result', tool_use_id: 'b', is_error: true },
        { type: 'text', text: 'quick', ...CACHED },
      ],
    },
  ]);
  expect(JSON.stringify(peer.bodies[0]).match(/cache_control/g)).toHaveLength(4);
});

test('thinking goes back unchanged and in its place, after a round trip through storage', async () => {
  await using peer = await served(answerOf('tool_use', ...THINKING));
  const provider = createAnthropic(KEY, peer.url);
  const first = await complete(provider, requestFor('m', [{ role: 'user', content: 'weather?' }]));
  expect(first).toMatchObject({ text: 'Looking.', stop: 'tool_calls' });
  const stored = JSON.parse(JSON.stringify({ role: 'assistant', content: first.text, ...first }));
  const result: ModelMessage = {
    role: 'tool',
    toolCallId: 'toolu_1',
    toolName: 'weather',
    content: 'rain',
    isError: false,
  };
  await complete(provider, requestFor('m', [{ role: 'user', content: 'weather?' }, stored, result]));
  expect(peer.bodies[1]).toHaveProperty('messages[1].content', [
    { type: 'thinking', thinking: 'Hm', signature: 'sig' },
    { type: 'redacted_thinking', data: 'secret' },
    { type: 'text', text: 'Looking.' },
    { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } },
  ]);
});

test('thinking is left out when its message was changed, or when another provider wrote it', async () => {
  await using peer = await served(answerOf('tool_use', ...THINKING));
  const provider = createAnthropic(KEY, peer.url);
  const first = await complete(provider, requestFor('m', [{ role: 'user', content: 'weather?' }]));
  for (const opaque of [first.opaque, { ollama: { thinking: 'Hm' } }]) {
    const changed: ModelMessage = { role: 'assistant', content: 'Looking.', toolCalls: [], opaque };
    await complete(
      provider,
      requestFor('m', [{ role: 'user', content: 'a' }, changed, { role: 'user', content: 'b' }]),
    );
    expect(peer.bodies.at(-1)).toHaveProperty('messages[1].content', [{ type: 'text', text: 'Looking.' }]);
  }
});

test.each([
  ['max_tokens', 'length'],
  ['refusal', 'refused'],
  ['stop_sequence', 'end'],
])('%s is the stop %s', async (reason, stop) => {
  await using peer = await served(answerOf(reason, ...block(0, { type: 'text', text: 'ok' })));
  const answer = complete(createAnthropic(KEY, peer.url), requestFor('m', [{ role: 'user', content: 'a' }]));
  expect(await answer).toMatchObject({ stop, text: 'ok' });
});

test('a full context window in the middle of an answer is an overflow', async () => {
  await using peer = await served(
    answerOf('model_context_window_exceeded', ...block(0, { type: 'text', text: 'ok' })),
  );
  const answer = complete(createAnthropic(KEY, peer.url), requestFor('m', [{ role: 'user', content: 'a' }]));
  await expect(answer).rejects.toMatchObject({ code: 'context_overflow' });
});

test('arguments that are no JSON arrive as the text they are', async () => {
  const broken = block(
    0,
    { type: 'tool_use', id: 't', name: 'pack', input: {} },
    { type: 'input_json_delta', partial_json: '{"item":' },
  );
  await using peer = await served(answerOf('tool_use', ...broken));
  const answer = await complete(
    createAnthropic(KEY, peer.url),
    requestFor('m', [{ role: 'user', content: 'a' }]),
  );
  expect(answer.toolCalls).toEqual([{ id: 't', name: 'pack', input: '{"item":' }]);
});

test('without a key nothing is sent', async () => {
  await using peer = await served([]);
  const answer = complete(
    createAnthropic(undefined, peer.url),
    requestFor('m', [{ role: 'user', content: 'a' }]),
  );
  await expect(answer).rejects.toMatchObject({ code: 'auth' });
  expect(peer.bodies).toEqual([]);
});
