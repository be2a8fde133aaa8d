import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import type { ModelMessage, ModelRequest } from '../llm.ts';
import { toolInputObject } from './tool-input.ts';

export type Body = Omit<Anthropic.MessageCreateParamsNonStreaming, 'stream'>;
type Block = Anthropic.ContentBlockParam;
const CACHED: Anthropic.CacheControlEphemeral = { type: 'ephemeral' };

/** Four cache marks, as many as the API takes: tools, system prompt, and the last two turns of the user. */
export function requestBody(request: ModelRequest): Body {
  const messages = toMessages(request.messages);
  for (const message of messages.filter(({ role }) => role === 'user').slice(-2)) {
    const last = message.content.at(-1);
    if (last?.type === 'text' || last?.type === 'tool_result') last.cache_control = CACHED;
  }
  const tools = request.tools.map(
    ({ name, description, inputSchema }, index): Anthropic.Tool => ({
      name,
      description,
      input_schema: { ...inputSchema, type: 'object' },
      ...(index === request.tools.length - 1 ? { cache_control: CACHED } : {}),
    }),
  );
  return {
    model: request.model,
    max_tokens: request.maxOutputTokens,
    messages,
    ...(request.system.trim() === ''
      ? {}
      : { system: [{ type: 'text', text: request.system, cache_control: CACHED }] }),
    ...(tools.length === 0 ? {} : { tools }),
  };
}

/** Alternating turns: tool results and what people said meanwhile are one message of the user. */
function toMessages(messages: readonly ModelMessage[]) {
  const turns: { role: 'user' | 'assistant'; content: Block[] }[] = [];
  for (const message of messages) {
    const role = message.role === 'assistant' ? 'assistant' : 'user';
    const blocks = toBlocks(message);
    const previous = turns.at(-1);
    if (blocks.length === 0) continue;
    if (previous?.role === role) previous.content.push(...blocks);
    else turns.push({ role, content: blocks });
  }
  return turns;
}

// The API refuses blank text blocks.
const textBlocks = (text: string): Block[] => (text.trim() === '' ? [] : [{ type: 'text', text }]);

function toBlocks(message: ModelMessage): Block[] {
  switch (message.role) {
    case 'user':
      return textBlocks(message.content);
    case 'tool':
      return [
        {
          type: 'tool_result',
          tool_use_id: message.toolCallId,
          is_error: message.isError,
          ...(message.content.trim() === '' ? {} : { content: message.content }),
        },
      ];
    case 'assistant': {
      const plain: Block[] = [
        ...textBlocks(message.content),
        ...message.toolCalls.map(
          ({ id, name, input }): Block => ({ type: 'tool_use', id, name, input: toolInputObject(input) }),
        ),
      ];
      const thought = OPAQUE.safeParse(message.opaque);
      // Only as long as it still says what the message says: calls that were dropped must not come back.
      return thought.success && spoken(thought.data.anthropic) === spoken(plain)
        ? thought.data.anthropic
        : plain;
    }
  }
}

/**
 * `opaque` of an answer that thought is all its content blocks: signed thinking has to come back where it stood, or
 * the API refuses the conversation.
 */
const OPAQUE = z.object({
  anthropic: z.array(
    z.discriminatedUnion('type', [
      z.object({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() }),
      z.object({ type: z.literal('redacted_thinking'), data: z.string() }),
      z.object({ type: z.literal('text'), text: z.string() }),
      z.object({ type: z.literal('tool_use'), id: z.string(), name: z.string(), input: z.unknown() }),
    ]),
  ),
});

export type AnswerBlock = z.infer<typeof OPAQUE>['anthropic'][number];

const spoken = (blocks: readonly Block[]) =>
  JSON.stringify([
    blocks.map((block) => (block.type === 'text' ? block.text : '')).join(''),
    blocks.flatMap((block) => (block.type === 'tool_use' ? [block.id] : [])),
  ]);
