import type { Usage } from '#adapters/llm/llm.ts';
import type { PeerAnswer } from '#test/peers/llm-http.ts';
import { KEY } from './llm.ts';

/** How one vendor writes things on the wire, after its documentation. */
export interface Wire {
  contentType: string;
  /** The beginning of an answer that is not over. */
  begin(text: string): string[];
  /** The rest of it. */
  end: string[];
  /** A whole answer that says nothing. */
  empty: string[];
  notJson: string;
  wrongShape: string;
  failure: string;
  /** What {@link Wire.end} counts. */
  usage: Usage;
  errors: Record<
    'wrong_key' | 'no_credit' | 'bad_request' | 'unknown_model',
    Required<Pick<PeerAnswer, 'status'>> & PeerAnswer
  >;
  /** Refuses what is too long the way the vendor does. */
  overflow(path: string, body: unknown): PeerAnswer;
}

const sse = (data: unknown, event?: string) =>
  `${event ? `event: ${event}\n` : ''}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
const json = (status: number, body: unknown) => ({ status, chunks: [JSON.stringify(body)] });

const anthropicEvent = (event: { type: string; [field: string]: unknown }) => sse(event, event.type);
const anthropicError = (status: number, type: string, message: string, details?: object) =>
  json(status, { type: 'error', error: { type, message, ...(details ? { details } : {}) } });
const anthropicUsage = {
  input_tokens: 11,
  cache_read_input_tokens: 30,
  cache_creation_input_tokens: 7,
  output_tokens: 1,
};
const anthropicStart = anthropicEvent({
  type: 'message_start',
  message: {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    content: [],
    model: 'm',
    usage: anthropicUsage,
  },
});
const anthropicEnd = [
  anthropicEvent({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } }),
  anthropicEvent({ type: 'message_stop' }),
];

export const anthropicWire: Wire = {
  contentType: 'text/event-stream',
  begin: (text) => [
    anthropicStart,
    anthropicEvent({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    anthropicEvent({ type: 'ping' }),
    anthropicEvent({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
  ],
  end: [anthropicEvent({ type: 'content_block_stop', index: 0 }), ...anthropicEnd],
  empty: [anthropicStart, ...anthropicEnd],
  notJson: sse('{"type":"content_block_delta","index":0,', 'content_block_delta'),
  wrongShape: anthropicEvent({ type: 'content_block_delta', index: 0 }),
  failure: anthropicEvent({ type: 'error', error: { type: 'api_error', message: 'Internal server error' } }),
  usage: { input: 11, cacheRead: 30, cacheWrite: 7, output: 5 },
  errors: {
    wrong_key: anthropicError(401, 'authentication_error', 'invalid x-api-key'),
    no_credit: anthropicError(429, 'rate_limit_error', 'Spend limit reached', {
      error_code: 'enforced_spend_limit_reached',
    }),
    bad_request: anthropicError(400, 'invalid_request_error', `max_tokens: too large for ${KEY}`),
    unknown_model: anthropicError(404, 'not_found_error', 'model: m'),
  },
  // Length has no code of its own; the provider asks how long the conversation is and how much the model takes.
  overflow: (path) => {
    if (path.startsWith('/v1/models/'))
      return json(200, { id: 'm', type: 'model', max_input_tokens: 200_000 });
    if (path.startsWith('/v1/messages/count_tokens')) return json(200, { input_tokens: 200_001 });
    return anthropicError(400, 'invalid_request_error', 'refused');
  },
};

const openaiChunk = (fields: object) =>
  sse({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', ...fields });
const openaiChoice = (delta: object, finish_reason: string | null = null) =>
  openaiChunk({ choices: [{ index: 0, delta, finish_reason }] });
const openaiError = (status: number, error: object) =>
  json(status, { error: { param: null, code: null, ...error } });
const openaiEnd = [
  openaiChoice({}, 'stop'),
  openaiChunk({
    choices: [],
    usage: {
      prompt_tokens: 48,
      completion_tokens: 5,
      total_tokens: 53,
      prompt_tokens_details: { cached_tokens: 30, cache_write_tokens: 7 },
    },
  }),
  sse('[DONE]'),
];

export const openaiWire: Wire = {
  contentType: 'text/event-stream',
  begin: (text) => [openaiChoice({ role: 'assistant', content: '' }), openaiChoice({ content: text })],
  end: openaiEnd,
  empty: [openaiChoice({ role: 'assistant', content: '' }), ...openaiEnd],
  notJson: sse('{"id":"c","choices":['),
  wrongShape: sse({ id: 'c', object: 'chat.completion.chunk' }),
  failure: sse({
    error: { message: 'The server had an error', type: 'server_error', param: null, code: null },
  }),
  usage: { input: 11, cacheRead: 30, cacheWrite: 7, output: 5 },
  errors: {
    wrong_key: openaiError(401, {
      type: 'invalid_request_error',
      code: 'invalid_api_key',
      message: `Bad key ${KEY}`,
    }),
    no_credit: openaiError(429, {
      type: 'insufficient_quota',
      code: 'insufficient_quota',
      message: 'No credit',
    }),
    bad_request: openaiError(400, {
      type: 'invalid_request_error',
      message: `max tokens: too large for ${KEY}`,
    }),
    unknown_model: openaiError(404, {
      type: 'invalid_request_error',
      code: 'model_not_found',
      message: 'no model',
    }),
  },
  overflow: () =>
    openaiError(400, {
      type: 'invalid_request_error',
      code: 'context_length_exceeded',
      param: 'messages',
      message: 'refused',
    }),
};

const ollamaLine = (fields: object) =>
  `${JSON.stringify({ model: 'm', created_at: '2026-01-01T00:00:00Z', ...fields })}\n`;
const ollamaText = (content: string) => ollamaLine({ message: { role: 'assistant', content }, done: false });
const ollamaEnd = ollamaLine({
  message: { role: 'assistant', content: '' },
  done: true,
  done_reason: 'stop',
  prompt_eval_count: 11,
  eval_count: 5,
});

export const ollamaWire: Wire = {
  contentType: 'application/x-ndjson',
  begin: (text) => [ollamaText(text)],
  end: [ollamaEnd],
  empty: [ollamaEnd],
  notJson: '{"model":"m","message":\n',
  wrongShape: ollamaLine({ done: false }),
  failure: `${JSON.stringify({ error: 'llama runner process has terminated' })}\n`,
  usage: { input: 11, cacheRead: 0, cacheWrite: 0, output: 5 },
  errors: {
    wrong_key: json(401, { error: 'unauthorized' }),
    no_credit: json(402, { error: 'upgrade' }),
    bad_request: json(400, { error: 'm does not support tools' }),
    unknown_model: json(404, { error: "model 'm' not found" }),
  },
  // A request without messages only loads the model, and that it does.
  overflow: (_, body) => {
    const loads =
      typeof body === 'object' &&
      body !== null &&
      'messages' in body &&
      Array.isArray(body.messages) &&
      body.messages.length === 0;
    return loads ? { chunks: [ollamaEnd] } : json(400, { error: 'refused' });
  },
};
