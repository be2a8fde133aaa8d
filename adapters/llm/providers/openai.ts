import type OpenAI from 'openai';
import { z } from 'zod';
import type {
  LlmError,
  LlmErrorCode,
  ModelEvent,
  ModelMessage,
  ModelRequest,
  Provider,
  Usage,
} from '../llm.ts';
import type { ProviderFactory } from '../provider-factory.ts';
import { codeOfStatus, type Failure, llmError } from './failure.ts';
import { flaggedResult, parseToolInput } from './tool-input.ts';

/*
 * OpenAI's Chat Completions, https://platform.openai.com/docs/api-reference/chat, and every server that speaks them
 * (vLLM, LocalAI, llama.cpp, …) by OPENAI_BASE_URL.
 */

export const env = {
  OPENAI_API_KEY: {
    schema: z.string().min(1).optional(),
    secret: true,
    help: 'Key for the OpenAI API or the server at OPENAI_BASE_URL.',
  },
  OPENAI_BASE_URL: {
    schema: z.url().optional(),
    help: 'Address of an OpenAI-compatible server, with its /v1; unset: OpenAI.',
  },
};

export const openai = {
  env,
  defaultModel: 'gpt-6.1-sol',
  configured: (settings) => settings.OPENAI_API_KEY !== undefined || settings.OPENAI_BASE_URL !== undefined,
  create: (settings) => createOpenAI(settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL),
} satisfies ProviderFactory<typeof env>;

type Sdk = typeof import('openai');

/**
 * A server of one's own may need no key; OpenAI's fails every call without one with `auth`. The SDK is loaded by the
 * first call.
 */
export function createOpenAI(apiKey: string | undefined, baseURL?: string | undefined): Provider {
  const connect = ({ OpenAI }: Sdk) =>
    new OpenAI({
      apiKey: apiKey ?? 'none',
      adminAPIKey: null,
      organization: null,
      project: null,
      baseURL: baseURL ?? 'https://api.openai.com/v1',
      maxRetries: 0,
      logLevel: 'off',
    });
  let client: OpenAI | undefined;
  const vendor = baseURL === undefined ? 'OpenAI' : new URL(baseURL).host;
  return {
    name: 'openai',
    async *stream(request) {
      const fail = (code: LlmErrorCode, rest: Partial<Failure> = {}) =>
        llmError({ vendor, model: request.model, code, apiKey, ...rest });
      if (apiKey === undefined && baseURL === undefined) throw fail('auth');
      const sdk = await import('openai');
      client ??= connect(sdk);
      const answer = createAnswer(`call_${request.messages.length}`);
      try {
        const options = request.signal === undefined ? {} : { signal: request.signal };
        const chunks = await client.chat.completions.create(requestBody(request), options);
        for await (const chunk of chunks) {
          if (request.signal?.aborted) throw fail('aborted');
          const text = answer.take(chunk);
          if (text !== '') yield { type: 'text', text };
        }
      } catch (error) {
        throw failureOf(error, sdk, fail, request.signal);
      }
      // The SDK ends the stream quietly when it was aborted.
      if (request.signal?.aborted) throw fail('aborted');
      const stop = answer.stop();
      if (stop === undefined) throw fail('cut_off');
      if (stop === 'end' && answer.isEmpty()) throw fail('empty_answer');
      yield* answer.calls();
      yield { type: 'end', stop, usage: answer.usage() };
    },
  };
}

function requestBody(request: ModelRequest): OpenAI.ChatCompletionCreateParamsStreaming {
  const tools = request.tools.map(
    ({ name, description, inputSchema }): OpenAI.ChatCompletionFunctionTool => ({
      type: 'function',
      function: { name, description, parameters: inputSchema },
    }),
  );
  return {
    model: request.model,
    stream: true,
    stream_options: { include_usage: true },
    max_completion_tokens: request.maxOutputTokens,
    messages: [
      ...(request.system === '' ? [] : [{ role: 'system', content: request.system } as const]),
      ...request.messages.map(toMessage),
    ],
    ...(tools.length === 0 ? {} : { tools }),
  };
}

function toMessage(message: ModelMessage): OpenAI.ChatCompletionMessageParam {
  switch (message.role) {
    case 'user':
      return { role: 'user', content: message.content };
    case 'tool':
      return { role: 'tool', tool_call_id: message.toolCallId, content: flaggedResult(message) };
    case 'assistant':
      return {
        role: 'assistant',
        content: message.content,
        ...(message.toolCalls.length === 0
          ? {}
          : {
              tool_calls: message.toolCalls.map(({ id, name, input }) => ({
                id,
                type: 'function',
                function: { name, arguments: typeof input === 'string' ? input : JSON.stringify(input) },
              })),
            }),
      };
  }
}

/** Collects one streamed completion. Pieces of parallel tool calls come mixed, told apart by their index. */
function createAnswer(idPrefix: string) {
  const calls: { id: string; name: string; json: string }[] = [];
  let text = false;
  let refusal = false;
  let reason: OpenAI.ChatCompletionChunk.Choice['finish_reason'] = null;
  let counted: OpenAI.CompletionUsage | undefined;

  return {
    /** The text that came with it. */
    take(chunk: OpenAI.ChatCompletionChunk): string {
      counted = chunk.usage ?? counted;
      const [choice] = chunk.choices;
      if (choice === undefined) return '';
      reason = choice.finish_reason ?? reason;
      for (const piece of choice.delta.tool_calls ?? []) {
        // Not every compatible server gives ids.
        calls[piece.index] ??= { id: piece.id ?? `${idPrefix}_${piece.index}`, name: '', json: '' };
        const call = calls[piece.index];
        if (call === undefined) continue;
        call.name += piece.function?.name ?? '';
        call.json += piece.function?.arguments ?? '';
      }
      if (choice.delta.refusal) refusal = true;
      const said = (choice.delta.content ?? '') + (choice.delta.refusal ?? '');
      if (said !== '') text = true;
      return said;
    },
    isEmpty: () => !text && calls.length === 0,
    calls: (): ModelEvent[] =>
      calls.map(({ id, name, json }) => ({
        type: 'tool_call',
        call: { id, name, input: parseToolInput(json) },
      })),
    stop(): 'end' | 'tool_calls' | 'length' | 'refused' | undefined {
      if (reason === null) return undefined;
      if (refusal || reason === 'content_filter') return 'refused';
      if (reason === 'length') return 'length';
      return calls.length > 0 ? 'tool_calls' : 'end';
    },
    usage(): Usage {
      const cacheRead = counted?.prompt_tokens_details?.cached_tokens ?? 0;
      const cacheWrite = counted?.prompt_tokens_details?.cache_write_tokens ?? 0;
      return {
        input: Math.max(0, (counted?.prompt_tokens ?? 0) - cacheRead - cacheWrite),
        output: counted?.completion_tokens ?? 0,
        cacheRead,
        cacheWrite,
      };
    },
  };
}

/** What OpenAI puts in `code`, llama.cpp in `type` and vLLM in `param`: finer than the status, or there without one. */
const CODE_OF: Readonly<Record<string, LlmErrorCode>> = {
  context_length_exceeded: 'context_overflow',
  exceed_context_size_error: 'context_overflow',
  input_tokens: 'context_overflow',
  model_not_found: 'unknown_model',
  // A 429 that no waiting mends: somebody has to pay.
  insufficient_quota: 'auth',
  invalid_api_key: 'auth',
  rate_limit_exceeded: 'rate_limited',
};

function failureOf(
  error: unknown,
  { APIConnectionError, APIError, APIUserAbortError }: Sdk,
  fail: (code: LlmErrorCode, rest?: Partial<Failure>) => LlmError,
  signal: AbortSignal | undefined,
): LlmError {
  if (signal?.aborted || error instanceof APIUserAbortError) return fail('aborted', { cause: error });
  if (error instanceof APIConnectionError) return fail('unavailable', { cause: error });
  if (!(error instanceof APIError)) {
    // JSON that is none, or a field that is not there; everything else is the connection that broke.
    const malformed =
      error instanceof SyntaxError || (error instanceof TypeError && error.cause === undefined);
    return fail(malformed ? 'malformed' : 'cut_off', { cause: error });
  }
  const status: number | undefined = error.status;
  const named = [error.code, error.type, error.param].flatMap((name) => CODE_OF[name ?? ''] ?? [])[0];
  // In the middle of a stream there is no status.
  const code = named ?? codeOfStatus(status ?? (error.type === 'invalid_request_error' ? 400 : 500));
  const detail = z.object({ message: z.string() }).safeParse(error.error).data?.message;
  return fail(code, { cause: error, headers: error.headers, detail });
}
