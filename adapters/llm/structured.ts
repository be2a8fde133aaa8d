import { z } from 'zod';
import { complete, LlmError, type ModelMessage, type Provider } from './llm.ts';

export interface StructuredRequest<Schema extends z.ZodType> {
  model: string;
  system: string;
  content: string;
  /** Of the only tool, which the model must call with its answer. */
  name: string;
  description: string;
  schema: Schema;
  /** Tokens. */
  maxOutputTokens: number;
  signal?: AbortSignal | undefined;
}

/** `problem`: what was wrong with the second answer too, in words for people. */
export type Structured<T> = { ok: true; value: T } | { ok: false; problem: string };

/**
 * An answer that fits a schema, given as a tool call. One that does not fit is sent back once, with what is wrong with
 * it. Throws {@link LlmError} as the provider does.
 */
export async function structured<Schema extends z.ZodType>(
  provider: Provider,
  request: StructuredRequest<Schema>,
): Promise<Structured<z.output<Schema>>> {
  const { model, system, content, name, description, schema, maxOutputTokens, signal } = request;
  const tool = { name, description, inputSchema: z.toJSONSchema(schema) };
  const messages: ModelMessage[] = [{ role: 'user', content }];
  let problem = '';
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    const answer = await complete(provider, {
      model,
      system: `${system}\n\nAnswer by calling the tool \`${name}\` once, and in no other way.`,
      messages,
      tools: [tool],
      maxOutputTokens,
      signal,
    });
    if (answer.stop === 'refused') throw new LlmError('bad_request', 'The model declined to answer.');
    const call = answer.toolCalls.find((one) => one.name === name);
    const parsed = call && schema.safeParse(call.input);
    if (parsed?.success) return { ok: true, value: parsed.data };
    problem = parsed ? z.prettifyError(parsed.error) : `it did not call \`${name}\``;
    const { text, toolCalls, opaque } = answer;
    messages.push({
      role: 'assistant',
      content: text,
      toolCalls,
      ...(opaque === undefined ? {} : { opaque }),
    });
    const complaint = `Comio: that answer cannot be used: ${problem}\nCall \`${name}\` again with all of it, corrected.`;
    // Every call must have its result.
    for (const { id, name: toolName } of toolCalls)
      messages.push({ role: 'tool', toolCallId: id, toolName, content: complaint, isError: true });
    if (toolCalls.length === 0) messages.push({ role: 'user', content: complaint });
  }
  return { ok: false, problem };
}
