import type { Completion, ModelMessage, ToolCall } from '#adapters/llm/llm.ts';
import type { Step } from './journal.ts';
import type { ToolResult } from './tools/tool.ts';
import type { Turn } from './turns.ts';

/** What a tool step's `input` holds: which call of which model step it answers. */
export interface ToolStepInput {
  modelSeq: number;
  index: number;
  call: ToolCall;
}
export interface SteerInput {
  text: string;
  author: string;
}

/**
 * The model's view of a run: every turn that was not undone, as messages. Pure: the same rows give the same messages,
 * so a run that was resumed in another process asks the model the same thing.
 */
export function conversationOf(turns: readonly { turn: Turn; steps: readonly Step[] }[]): ModelMessage[] {
  return turns.flatMap(({ turn, steps }) => [
    { role: 'user' as const, content: asUser(turn.requested_by.name, asked(turn)) },
    ...stepsToMessages(steps),
  ]);
}

const asked = ({ verb, request }: Turn): string => (verb === 'new' ? `Build ${request}` : request);

const asUser = (name: string, text: string): string => `${name}: ${text}`;

function stepsToMessages(steps: readonly Step[]): ModelMessage[] {
  const messages: ModelMessage[] = [];
  for (const step of steps) {
    if (step.kind === 'model' && step.state === 'done') {
      const answer = step.output as Completion;
      messages.push({
        role: 'assistant',
        content: answer.text,
        toolCalls: answer.toolCalls,
        ...(answer.opaque === undefined ? {} : { opaque: answer.opaque }),
      });
      // Every call needs its result next to it, in order, or providers refuse the conversation.
      messages.push(...answer.toolCalls.map((call, index) => resultOf(steps, step.seq, index, call)));
    } else if (step.kind === 'steer' || step.kind === 'nudge') {
      const { text, author } = step.input as SteerInput;
      messages.push({ role: 'user', content: asUser(author, text) });
    }
  }
  return messages;
}

function resultOf(steps: readonly Step[], modelSeq: number, index: number, call: ToolCall): ModelMessage {
  const step = toolStepFor(steps, modelSeq, index);
  const result = step?.output as ToolResult | null | undefined;
  return {
    role: 'tool',
    toolCallId: call.id,
    toolName: call.name,
    content: result?.content ?? 'Not executed: the turn was ended before this call.',
    isError: result ? result.isError : true,
  };
}

export const toolStepFor = (steps: readonly Step[], modelSeq: number, index: number): Step | undefined =>
  steps.find((step) => {
    if (step.kind !== 'tool') return false;
    const input = step.input as ToolStepInput;
    return input.modelSeq === modelSeq && input.index === index;
  });
