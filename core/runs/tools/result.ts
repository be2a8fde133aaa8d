import { SandboxError, type SandboxErrorCode } from '#sandbox/sandbox.ts';
import type { Fact, ToolResult } from './tool.ts';

export const success = (content: string, summary: string, facts: Fact[] = []): ToolResult => ({
  content,
  isError: false,
  summary,
  facts,
});

/** `content` tells the model what to do instead. */
export const failure = (content: string, summary: string, facts: Fact[] = []): ToolResult => ({
  content,
  isError: true,
  summary,
  facts,
});

/** What the model can mend; the rest is for the run's edge. */
const HINTS: Partial<Record<SandboxErrorCode, string>> = {
  not_found: 'Look with list_directory or search_codebase.',
  not_a_file: 'Look with list_directory.',
  outside_workspace: 'Only paths inside the workspace can be used, relative to it.',
  too_large: 'Use run_command (head, sed -n, jq) for a part of it.',
  bad_pattern: 'Mend the regular expression, or escape what is meant literally.',
  io_failed: '',
  git_failed: '',
};

/** Turns the sandbox errors a model can do something about into a result with `summary`. */
export async function mendable(summary: string, work: () => Promise<ToolResult>): Promise<ToolResult> {
  try {
    return await work();
  } catch (error) {
    const hint = error instanceof SandboxError ? HINTS[error.code] : undefined;
    if (hint === undefined || !(error instanceof SandboxError)) throw error;
    return failure(`${error.message.replace(/[.\s]+$/, '')}. ${hint}`.trim(), summary);
  }
}
