import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import type { LlmError, LlmErrorCode, ModelEvent, Provider, Usage } from '../llm.ts';
import type { ProviderFactory } from '../provider-factory.ts';
import { type AnswerBlock, type Body, requestBody } from './anthropic-request.ts';
import { codeOfStatus, type Failure, llmError } from './failure.ts';
import { parseToolInput, toolInputObject } from './tool-input.ts';

/* Anthropic's Messages API, https://platform.claude.com/docs/en/api/messages. */

export const env = {
  ANTHROPIC_API_KEY: {
    schema: z.string().min(1).optional(),
    secret: true,
    help: 'Key for the Anthropic API.',
  },
  ANTHROPIC_BASE_URL: {
    schema: z.url().optional(),
    help: 'Anthropic API address, when it is not the vendor’s own.',
  },
};

export const anthropic = {
  env,
  defaultModel: 'claude-sonnet-5-5',
  configured: (settings) => settings.ANTHROPIC_API_KEY !== undefined,
  create: (settings) => createAnthropic(settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL),
} satisfies ProviderFactory<typeof env>;

type Sdk = typeof import('@anthropic-ai/sdk');

/** Without a key every call fails with `auth`. The SDK is loaded by the first call. */
export function createAnthropic(apiKey: string | undefined, baseURL?: string | undefined): Provider {
  const connect = ({ Anthropic }: Sdk) =>
    new Anthropic({
      apiKey: apiKey ?? '',
      authToken: null,
      baseURL: baseURL ?? 'https://api.anthropic.com',
      maxRetries: 0,
      logLevel: 'off',
    });
  let client: Anthropic | undefined;
  return {
    name: 'anthropic',
    async *stream(request) {
      const fail = (code: LlmErrorCode, rest: Partial<Failure> = {}) =>
        llmError({ vendor: 'Anthropic', model: request.model, code, apiKey, ...rest });
      if (apiKey === undefined) throw fail('auth');
      const sdk = await import('@anthropic-ai/sdk');
      client ??= connect(sdk);
      const { messages, models } = client;
      const body = requestBody(request);
      const answer = createAnswer();
      try {
        const options = request.signal === undefined ? {} : { signal: request.signal };
        const events = await messages.create({ ...body, stream: true }, options);
        for await (const event of events) {
          if (request.signal?.aborted) throw fail('aborted');
          for (const out of answer.take(event)) yield out;
        }
      } catch (error) {
        throw await failureOf(error, sdk, fail, request.signal, () =>
          isTooLong({ messages, models }, body, sdk),
        );
      }
      // The SDK ends the stream quietly when it was aborted.
      if (request.signal?.aborted) throw fail('aborted');
      const stop = answer.stop();
      if (stop === undefined) throw fail('cut_off');
      if (stop === 'context') throw fail('context_overflow');
      if (stop === 'end' && answer.isEmpty()) throw fail('empty_answer');
      yield { type: 'end', stop, usage: answer.usage, opaque: answer.opaque() };
    },
  };
}

/** Collects one streamed message, block by block. */
function createAnswer() {
  const blocks: AnswerBlock[] = [];
  const usage: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
  let json = '';
  let reason: Anthropic.StopReason | null = null;
  let complete = false;

  const count = (seen: Partial<Anthropic.MessageDeltaUsage>) => {
    usage.input = seen.input_tokens ?? usage.input;
    usage.output = seen.output_tokens ?? usage.output;
    usage.cacheRead = seen.cache_read_input_tokens ?? usage.cacheRead;
    usage.cacheWrite = seen.cache_creation_input_tokens ?? usage.cacheWrite;
  };

  const start = (block: Anthropic.ContentBlock): ModelEvent[] => {
    if (block.type === 'text') blocks.push({ type: 'text', text: block.text });
    else if (block.type === 'thinking')
      blocks.push({ type: 'thinking', thinking: block.thinking, signature: block.signature });
    else if (block.type === 'redacted_thinking') blocks.push({ type: 'redacted_thinking', data: block.data });
    else if (block.type === 'tool_use') {
      json = '';
      blocks.push({ type: 'tool_use', id: block.id, name: block.name, input: {} });
    } else throw new SyntaxError(`A block of type ${block.type} was not asked for`);
    return block.type === 'text' && block.text !== '' ? [{ type: 'text', text: block.text }] : [];
  };

  const add = (delta: Anthropic.RawContentBlockDelta): ModelEvent[] => {
    const block = blocks.at(-1);
    if (delta.type === 'text_delta' && block?.type === 'text') {
      block.text += delta.text;
      return [{ type: 'text', text: delta.text }];
    }
    if (delta.type === 'thinking_delta' && block?.type === 'thinking') block.thinking += delta.thinking;
    else if (delta.type === 'signature_delta' && block?.type === 'thinking')
      block.signature += delta.signature;
    else if (delta.type === 'input_json_delta' && block?.type === 'tool_use') json += delta.partial_json;
    else throw new SyntaxError(`A ${delta.type} does not fit the block it came in`);
    return [];
  };

  const finish = (): ModelEvent[] => {
    const block = blocks.at(-1);
    if (block?.type !== 'tool_use') return [];
    const input = parseToolInput(json);
    block.input = toolInputObject(input);
    return [{ type: 'tool_call', call: { id: block.id, name: block.name, input } }];
  };

  return {
    usage,
    take(event: Anthropic.RawMessageStreamEvent): ModelEvent[] {
      switch (event.type) {
        case 'message_start':
          count(event.message.usage);
          return [];
        case 'content_block_start':
          return start(event.content_block);
        case 'content_block_delta':
          return add(event.delta);
        case 'content_block_stop':
          return finish();
        case 'message_delta':
          reason = event.delta.stop_reason;
          count(event.usage);
          return [];
        case 'message_stop':
          complete = true;
          return [];
        default:
          // The API's versioning policy lets it add event types; they are to be ignored.
          return [];
      }
    },
    isEmpty: () =>
      !blocks.some((block) => block.type === 'tool_use' || (block.type === 'text' && block.text !== '')),
    opaque: () =>
      blocks.some(({ type }) => type === 'thinking' || type === 'redacted_thinking')
        ? { anthropic: blocks.filter((block) => block.type !== 'text' || block.text.trim() !== '') }
        : undefined,
    stop(): 'end' | 'tool_calls' | 'length' | 'refused' | 'context' | undefined {
      if (!complete) return undefined;
      if (reason === 'tool_use') return 'tool_calls';
      if (reason === 'max_tokens') return 'length';
      if (reason === 'refusal') return 'refused';
      return reason === 'model_context_window_exceeded' ? 'context' : 'end';
    },
  };
}

/** 429s that no waiting mends: somebody has to raise a spend limit. */
const SPENT: ReadonlySet<string | null> = new Set([
  'contract_spend_limit_reached',
  'enforced_spend_limit_reached',
]);

/** An error in the middle of a stream has no status of its own, only its type. */
const CODE_OF_TYPE: Readonly<Record<string, LlmErrorCode>> = {
  authentication_error: 'auth',
  billing_error: 'auth',
  permission_error: 'auth',
  not_found_error: 'unknown_model',
  invalid_request_error: 'bad_request',
  rate_limit_error: 'rate_limited',
  overloaded_error: 'overloaded',
};

async function failureOf(
  error: unknown,
  { APIConnectionError, APIError, APIUserAbortError }: Sdk,
  fail: (code: LlmErrorCode, rest?: Partial<Failure>) => LlmError,
  signal: AbortSignal | undefined,
  tooLong: () => Promise<boolean>,
): Promise<LlmError> {
  if (signal?.aborted || error instanceof APIUserAbortError) return fail('aborted', { cause: error });
  if (error instanceof APIConnectionError) return fail('unavailable', { cause: error });
  if (!(error instanceof APIError)) {
    // JSON that is none, or a field that is not there; everything else is the connection that broke.
    const malformed =
      error instanceof SyntaxError || (error instanceof TypeError && error.cause === undefined);
    return fail(malformed ? 'malformed' : 'cut_off', { cause: error });
  }
  const status: number | undefined = error.status;
  let code = status === undefined ? (CODE_OF_TYPE[error.type ?? ''] ?? 'unavailable') : codeOfStatus(status);
  if (code === 'rate_limited' && SPENT.has(error.errorCode)) code = 'auth';
  if (code === 'bad_request' && (await tooLong())) code = 'context_overflow';
  return fail(code, { cause: error, headers: error.headers, detail: error.apiMessage });
}

/**
 * A conversation that is too long is refused like any other bad request, with nothing but a sentence to tell. So ask
 * how long it is and how much the model takes. When that fails too, nothing is known and the answer is no.
 */
async function isTooLong(
  client: Pick<Anthropic, 'messages' | 'models'>,
  { max_tokens: _, ...body }: Body,
  { APIError }: Sdk,
): Promise<boolean> {
  try {
    const [model, count] = await Promise.all([
      client.models.retrieve(body.model),
      client.messages.countTokens(body),
    ]);
    return model.max_input_tokens !== null && count.input_tokens > model.max_input_tokens;
  } catch (error) {
    if (error instanceof APIError) return false;
    throw error;
  }
}
