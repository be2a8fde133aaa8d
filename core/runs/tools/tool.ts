import type { ZodType } from 'zod';
import type { Sandbox } from '#sandbox/sandbox.ts';

/**
 * What a tool call was seen to do. The final message is composed from these, not from what the model says.
 * Facts are stored with the step, so they are plain JSON.
 */
export type Fact =
  | {
      type: 'command';
      command: string;
      exitCode: number | null;
      ended: string;
      tests?: TestCounts | undefined;
    }
  | { type: 'file'; path: string; change: 'created' | 'edited' | 'deleted' }
  | { type: 'scaffold'; template: string; files: number }
  | { type: 'commit'; sha: string; subject: string }
  | {
      type: 'publish';
      repository: string;
      url: string;
      branch: string;
      sha: string;
      pullRequest?: { number: number; url: string; created: boolean } | undefined;
    };

export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface ToolContext {
  sandbox: Sandbox;
  /** Unique to this tool call and the same when it is resumed after a crash: the idempotency key of its effect. */
  key: string;
  signal: AbortSignal;
  /** Live output for the card. */
  onOutput: (text: string) => void;
  /**
   * The write-ahead note of a tool whose effect is not idempotent by nature. `previous` is what an interrupted
   * execution of this very call recorded (undefined on the first); `record` is durable when it resolves.
   */
  intent: { previous: unknown; record(note: unknown): Promise<void> };
  /** Author of commits. */
  author: { name: string; email: string };
  /** Pushes the sandbox's HEAD from the core and opens or updates the pull request. Idempotent. */
  publish(request: { title: string; body: string }): Promise<Extract<Fact, { type: 'publish' }>>;
}

export interface ToolResult {
  /** What the model sees, already truncated with a notice of what was cut. */
  content: string;
  /** The model should know it failed; the run goes on. */
  isError: boolean;
  /** The past-tense line of the card: "Ran tests, 14 passed". Plain text, at most about 80 characters. */
  summary: string;
  facts: Fact[];
}

/**
 * One tool, one file. `execute` throws only when the sandbox or the signal does (the run's edge turns that into an
 * outcome); whatever the model can mend (no such file, no unique match) is a result with `isError`.
 */
export interface Tool<Input = unknown> {
  name: string;
  /** For the model: what it does, when to use it, what comes back. */
  description: string;
  schema: ZodType<Input>;
  /** `read`: executing it again is free of effect. */
  effect: 'read' | 'write';
  /** The present-tense line of the card: "Running tests". Plain text. */
  title(input: Input): string;
  execute(input: Input, context: ToolContext): Promise<ToolResult>;
}

export const defineTool = <Input>(tool: Tool<Input>): Tool<Input> => tool;
