import type { ZodType } from 'zod';
import type { Sandbox } from '#sandbox/sandbox.ts';
import type { PathPolicy } from '../../policy/denied-paths.ts';

/**
 * What a tool call was seen to do. The final message is composed from these, not from what the model says.
 * Facts are stored with the step, so they are plain JSON.
 */
export type Fact =
  | {
      type: 'command';
      command: string;
      /** Where it ran, relative to the workspace; undefined: the workspace. */
      directory?: string | undefined;
      exitCode: number | null;
      ended: string;
      tests?: TestCounts | undefined;
    }
  | { type: 'file'; path: string; change: 'created' | 'edited' | 'deleted' }
  /** What the policy did not let it change. */
  | { type: 'denied'; path: string }
  | ({ type: 'reproduction' } & Reproduction)
  | ({ type: 'proposal' } & Proposal)
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

/** How a command ended that Comio itself ran, and what it printed (its beginning and its end). */
export interface Ran {
  exitCode: number;
  output: string;
}

/** The command that shows the fault: seen to fail on the unchanged base. */
export interface Reproduction {
  command: string;
  /** The files it consists of, with the SHA-256 of their content when it failed. */
  files: { path: string; sha256: string }[];
  before: Ran;
}

/** A change that code has checked: the reproduction fails before and passes after it, and the tests pass. */
export interface Proposal {
  title: string;
  body: string;
  base: string;
  sha: string;
  /** Unified, from `base` to `sha`; shortened past 256 KiB. */
  diff: string;
  /** SHA-256 of the whole diff. */
  diffDigest: string;
  files: string[];
  reproduction: Reproduction & { after: Ran };
  tests: Ran & { command: string; counts?: TestCounts | undefined };
}

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
  /** What the agent may not change. */
  policy: PathPolicy;
  /** The commit the run started from, where it was not the tip of a branch. */
  base: string | undefined;
  /** What the run's tool calls were seen to do before this one, in order. */
  facts: readonly Fact[];
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
