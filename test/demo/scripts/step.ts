/*
 * What the scripted model says and does in the demo (format: adapters/llm/providers/scripted-format.ts). Only the
 * words and the tool calls are scripted: files, tests, commits, pushes and pull requests are real.
 */

export interface Call {
  name: string;
  input: unknown;
}

export const call = (name: string, input: unknown): Call => ({ name, input });

/** So that somebody can read along. */
const PAUSE_MS = 250;

export const steps = (...list: { text?: string; toolCalls?: Call[] }[]) =>
  list.map((step) => ({ delayMs: PAUSE_MS, ...step }));
