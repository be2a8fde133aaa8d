import type { ExecResult } from '#sandbox/sandbox.ts';
import { plainText } from './run-command.ts';
import type { Ran, ToolContext } from './tool.ts';
import { truncate } from './truncate.ts';

/** Kept of the output: its beginning and its end. */
const MAX_CHARACTERS = 6000;

/** Runs a command once under `step` of this call, however often the call is taken up again. */
export async function runChecked(
  { sandbox, key, signal, onOutput }: ToolContext,
  step: string,
  command: string,
  directory?: string | undefined,
): Promise<Ran | { problem: string }> {
  const result = await sandbox.exec(command, { cwd: directory, signal, key: `${key}:${step}`, onOutput });
  if (result.exitCode === null) return { problem: `\`${command}\` ${HOW[result.ended]}.` };
  const output = truncate(plainText(result.output).trimEnd(), MAX_CHARACTERS, result.cutBytes);
  return { exitCode: result.exitCode, output };
}

const HOW: Readonly<Record<ExecResult['ended'], string>> = {
  exit: 'ended',
  timeout: 'had not ended when its time was up, and was killed',
  aborted: 'was stopped',
  lost: 'was cut off with the sandbox; how far it got is not known',
};
