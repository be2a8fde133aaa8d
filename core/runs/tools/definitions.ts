import { z } from 'zod';
import type { ToolDefinition } from '#adapters/llm/llm.ts';
import type { Tool } from './tool.ts';

/** What the model is told about the tools. */
export const toolDefinitions = (tools: readonly Tool[]): ToolDefinition[] =>
  tools.map(({ name, description, schema }) => {
    const { $schema: _, ...inputSchema } = z.toJSONSchema(schema, { io: 'input' });
    return { name, description, inputSchema };
  });

export type ParsedInput<Input> = { ok: true; input: Input } | { ok: false; message: string };

/** What the model sent, checked; or what it got wrong, field by field, for it to mend. */
export function parseToolInput<Input>(tool: Tool<Input>, input: unknown): ParsedInput<Input> {
  if (typeof input === 'string') {
    return { ok: false, message: `The arguments of ${tool.name} are not valid JSON. Send one JSON object.` };
  }
  const parsed = tool.schema.safeParse(input);
  if (parsed.success) return { ok: true, input: parsed.data };
  const problems = parsed.error.issues.map(({ path, message }) =>
    path.length === 0 ? `- ${message}` : `- ${path.join('.')}: ${message}`,
  );
  return { ok: false, message: `The arguments of ${tool.name} are not valid:\n${problems.join('\n')}` };
}
