import type { ChatRequest, Message, Ollama, Tool } from 'ollama';
import { z } from 'zod';
import { LlmError, type LlmErrorCode, type ModelMessage, type ModelRequest, type Provider } from '../llm.ts';
import type { ProviderFactory } from '../provider-factory.ts';
import { codeOfStatus, type Failure, llmError } from './failure.ts';
import { flaggedResult, toolInputObject } from './tool-input.ts';

/*
 * Ollama's own API, https://docs.ollama.com/api/chat, not its OpenAI-compatible one, which can neither set the
 * context length nor refuse to shorten the conversation. `opaque` is the thinking, which tool calling models want back.
 */

export const env = {
  OLLAMA_HOST: {
    schema: z.string().min(1).optional(),
    help: 'Address of an Ollama server, for instance 127.0.0.1:11434.',
  },
  OLLAMA_CONTEXT_TOKENS: {
    schema: z.coerce.number().int().min(2048).default(32_768),
    help: 'Context length to load Ollama models with; more takes more memory.',
  },
};

export const ollama = {
  env,
  defaultModel: 'qwen3-coder',
  configured: (settings) => settings.OLLAMA_HOST !== undefined,
  create: (settings) => createOllama(settings.OLLAMA_HOST, settings.OLLAMA_CONTEXT_TOKENS),
} satisfies ProviderFactory<typeof env>;

const OPAQUE = z.object({ ollama: z.object({ thinking: z.string() }) });

export function createOllama(host: string | undefined, contextTokens: number): Provider {
  return {
    name: 'ollama',
    async *stream(request) {
      const { signal, model } = request;
      const fail = (code: LlmErrorCode, rest: Partial<Failure> = {}) =>
        llmError({ vendor: 'Ollama', model, code, ...rest });
      const { Ollama } = await import('ollama');
      // The client does not end the request of an answer nobody reads on.
      const left = new AbortController();
      const signals = signal === undefined ? [left.signal] : [left.signal, signal];
      const client = new Ollama({
        ...(host === undefined ? {} : { host }),
        fetch: checkedFetch(AbortSignal.any(signals), fail),
      });
      const body = requestBody(request, contextTokens);
      let empty = true;
      let calls = 0;
      let thinking = '';
      try {
        for await (const chunk of await client.chat(body)) {
          if (signal?.aborted) throw fail('aborted');
          const { message } = chunk;
          thinking += message.thinking ?? '';
          if (message.content !== '') {
            empty = false;
            yield { type: 'text', text: message.content };
          }
          for (const call of message.tool_calls ?? []) {
            empty = false;
            const { name, arguments: input } = call.function;
            // The official client's types have no id: name it by its place in the conversation.
            yield {
              type: 'tool_call',
              call: { id: `call_${request.messages.length}_${calls++}`, name, input },
            };
          }
          if (!chunk.done) continue;
          const stop = chunk.done_reason === 'length' ? 'length' : calls > 0 ? 'tool_calls' : 'end';
          if (empty && stop === 'end') throw fail('empty_answer');
          yield {
            type: 'end',
            stop,
            // Ollama reuses prompts within its process and reports no tokens saved by it.
            usage: {
              input: chunk.prompt_eval_count ?? 0,
              output: chunk.eval_count ?? 0,
              cacheRead: 0,
              cacheWrite: 0,
            },
            opaque: thinking === '' ? undefined : { ollama: { thinking } },
          };
        }
      } catch (error) {
        if (signal?.aborted) throw fail('aborted', { cause: error });
        if (error instanceof LlmError) {
          throw error.code === 'bad_request' && (await isTooLong(client, body))
            ? fail('context_overflow', { cause: error })
            : error;
        }
        throw fail(error instanceof TypeError && error.cause === undefined ? 'malformed' : 'cut_off', {
          cause: error,
        });
      } finally {
        left.abort();
      }
    },
  };
}

type Body = ChatRequest & { stream: true; truncate: boolean; shift: boolean };

function requestBody(request: ModelRequest, contextTokens: number): Body {
  return {
    model: request.model,
    stream: true,
    // By default Ollama silently drops what does not fit; an agent that forgets its task is worse than an error.
    truncate: false,
    shift: false,
    options: { num_ctx: contextTokens, num_predict: request.maxOutputTokens },
    messages: [
      ...(request.system === '' ? [] : [{ role: 'system', content: request.system }]),
      ...request.messages.map(toMessage),
    ],
    tools: request.tools.map(
      ({ name, description, inputSchema }): Tool => ({
        type: 'function',
        function: { name, description, parameters: inputSchema },
      }),
    ),
  };
}

function toMessage(message: ModelMessage): Message {
  switch (message.role) {
    case 'user':
      return { role: 'user', content: message.content };
    case 'tool':
      return { role: 'tool', tool_name: message.toolName, content: flaggedResult(message) };
    case 'assistant': {
      const thought = OPAQUE.safeParse(message.opaque);
      return {
        role: 'assistant',
        content: message.content,
        ...(thought.success ? { thinking: thought.data.ollama.thinking } : {}),
        ...(message.toolCalls.length === 0
          ? {}
          : {
              tool_calls: message.toolCalls.map(({ name, input }) => ({
                function: { name, arguments: toolInputObject(input) },
              })),
            }),
      };
    }
  }
}

type Fail = (code: LlmErrorCode, rest?: Partial<Failure>) => LlmError;

/**
 * The official client takes no signal before the first byte, keeps no headers of an error, and skips lines it cannot
 * read with a warning on the console. Its `fetch` is the place to mend all three.
 */
function checkedFetch(signal: AbortSignal, fail: Fail): typeof fetch {
  return async (url, init) => {
    let response: Response;
    try {
      response = await fetch(url, { ...init, signal });
    } catch (error) {
      throw fail('unavailable', { cause: error });
    }
    if (!response.ok) {
      const body = z.object({ error: z.string() }).safeParse(await json(response));
      throw fail(codeOfStatus(response.status), { headers: response.headers, detail: body.data?.error });
    }
    return new Response(response.body?.pipeThrough(checkedLines(fail)) ?? null, response);
  };
}

async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Passes whole lines of JSON on; ends the stream with an error at one that is none or that reports one. */
function checkedLines(fail: Fail): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest = '';
  const check = (line: string, controller: TransformStreamDefaultController<Uint8Array>) => {
    if (line.trim() === '') return;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw fail('malformed', { cause: error });
    }
    const failed = z.object({ error: z.string() }).safeParse(value);
    if (failed.success) throw fail('unavailable', { cause: new Error(failed.data.error) });
    controller.enqueue(encoder.encode(`${line}\n`));
  };
  return new TransformStream({
    transform(chunk, controller) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) check(line, controller);
    },
    flush(controller) {
      // Half a line at the end is a connection that broke: the client then misses the end of the answer.
      if (rest.trimEnd().endsWith('}')) check(rest, controller);
    },
  });
}

/**
 * A conversation that is too long is refused like any other bad request, with nothing but a sentence to tell. The same
 * request without messages only loads the model: when that is accepted, it was the messages.
 */
async function isTooLong(client: Ollama, { messages: _, ...body }: Body): Promise<boolean> {
  try {
    await client.chat({ ...body, stream: false, messages: [] });
    return true;
  } catch (error) {
    if (error instanceof LlmError) return false;
    throw error;
  }
}
