/** The model port: one streaming call with tools. Middleware and routing wrap a {@link Provider} and are one. */

export type ModelMessage =
  | { role: 'user'; content: string }
  | {
      role: 'assistant';
      content: string;
      toolCalls: ToolCall[];
      /** What the provider wants back unchanged with this message (thinking blocks); JSON, opaque to all others. */
      opaque?: unknown;
    }
  | { role: 'tool'; toolCallId: string; toolName: string; content: string; isError: boolean };

export interface ToolCall {
  id: string;
  name: string;
  /** Parsed JSON arguments. When the model wrote no valid JSON, the raw text as a string. */
  input: unknown;
}

export interface ToolDefinition {
  name: string;
  description: string;
  /** JSON Schema (draft 2020-12) of an object. */
  inputSchema: Record<string, unknown>;
}

export interface ModelRequest {
  model: string;
  system: string;
  messages: readonly ModelMessage[];
  tools: readonly ToolDefinition[];
  /** Tokens. */
  maxOutputTokens: number;
  /** Aborting ends the HTTP request; the stream then throws `aborted`. */
  signal?: AbortSignal | undefined;
}

/** Tokens. `input` excludes what was read from or written to the provider's cache. */
export interface Usage {
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
}

export type ModelEvent =
  | { type: 'text'; text: string }
  | { type: 'tool_call'; call: ToolCall }
  /** Always last, exactly once. */
  | { type: 'end'; stop: 'end' | 'tool_calls' | 'length' | 'refused'; usage: Usage; opaque?: unknown };

export interface Provider {
  readonly name: string;
  /** Throws {@link LlmError} only. An empty answer (no text, no call) is `empty_answer`. */
  stream(request: ModelRequest): AsyncIterable<ModelEvent>;
}

export interface Completion {
  text: string;
  toolCalls: ToolCall[];
  stop: 'end' | 'tool_calls' | 'length' | 'refused';
  usage: Usage;
  opaque?: unknown;
}

export type LlmErrorCode =
  | 'aborted'
  | 'auth'
  | 'rate_limited'
  | 'overloaded'
  | 'context_overflow'
  | 'unknown_model'
  | 'bad_request'
  | 'unavailable'
  | 'cut_off'
  | 'malformed'
  | 'empty_answer';

/** Messages are one sentence a person in a thread can act on. They never contain a key. */
export class LlmError extends Error {
  override readonly name = 'LlmError';
  readonly code: LlmErrorCode;
  /** Worth trying again unchanged. */
  readonly transient: boolean;
  /** Milliseconds, from the provider's Retry-After. */
  readonly retryAfterMs: number | undefined;
  constructor(
    code: LlmErrorCode,
    message: string,
    options?: ErrorOptions & { retryAfterMs?: number | undefined },
  ) {
    super(message, options);
    this.code = code;
    this.transient = TRANSIENT.has(code);
    this.retryAfterMs = options?.retryAfterMs;
  }
}

const TRANSIENT: ReadonlySet<LlmErrorCode> = new Set([
  'rate_limited',
  'overloaded',
  'unavailable',
  'cut_off',
  'malformed',
  'empty_answer',
]);

/** Collects a stream. `onText` sees each piece of text as it arrives. */
export async function complete(
  provider: Provider,
  request: ModelRequest,
  onText?: (text: string) => void,
): Promise<Completion> {
  let text = '';
  const toolCalls: ToolCall[] = [];
  for await (const event of provider.stream(request)) {
    if (event.type === 'text') {
      text += event.text;
      onText?.(event.text);
    } else if (event.type === 'tool_call') toolCalls.push(event.call);
    else return { text, toolCalls, stop: event.stop, usage: event.usage, opaque: event.opaque };
  }
  throw new LlmError('cut_off', `${provider.name} ended its answer before it was complete.`);
}
