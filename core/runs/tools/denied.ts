import type { Sandbox } from '#sandbox/sandbox.ts';
import { deniedReason, meantBy, type PathPolicy } from '../../policy/denied-paths.ts';
import { failure } from './result.ts';
import type { ToolResult } from './tool.ts';
import { oneLine } from './truncate.ts';

/** The result of a call that would change what the policy denies; undefined when it would not. */
export async function refusedByPolicy(
  { policy, sandbox }: { policy: PathPolicy; sandbox: Sandbox },
  path: string,
): Promise<ToolResult | undefined> {
  const denied = policy.firstDenied(await meantBy(sandbox, path));
  return denied === undefined ? undefined : refusedPath(denied);
}

export const refusedPath = (path: string): ToolResult =>
  failure(deniedReason(path), `Refused to change ${oneLine(path, 60)}: denied by policy`, [
    { type: 'denied', path },
  ]);
