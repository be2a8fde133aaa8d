import { stripVTControlCharacters } from 'node:util';
import { z } from 'zod';
import type { ExecResult } from '#sandbox/sandbox.ts';
import { failure, mendable, success } from './result.ts';
import { countsOf, describeCounts, isTestCommand } from './test-counts.ts';
import { defineTool, type TestCounts } from './tool.ts';
import { oneLine, truncate } from './truncate.ts';

const MAX_SECONDS = 300;
/** What the model sees of the output, about 5,000 tokens. */
const MAX_CHARACTERS = 20_000;

export const runCommand = defineTool({
  name: 'run_command',
  description:
    'Runs a command with sh -c in the sandbox and answers with its exit code and its output (stdout and stderr together; of a long one the beginning and the end). Not interactive: nothing can be typed. Whatever is still running when the time is up is killed.',
  schema: z.strictObject({
    command: z.string().min(1).max(20_000),
    directory: z
      .string()
      .min(1)
      .optional()
      .describe('Where to run it, relative to the workspace. Default: the workspace.'),
    timeout_seconds: z.number().int().min(1).max(MAX_SECONDS).default(MAX_SECONDS),
  }),
  effect: 'write',
  title: ({ command }) => (isTestCommand(command) ? 'Running tests' : `Running \`${oneLine(command, 60)}\``),
  execute: ({ command, directory, timeout_seconds }, { sandbox, key, signal, onOutput }) =>
    mendable(`Could not run \`${oneLine(command, 50)}\``, async () => {
      const result = await sandbox.exec(command, {
        cwd: directory,
        timeoutMs: timeout_seconds * 1000,
        signal,
        key,
        onOutput,
      });
      const output = plainText(result.output);
      const tests = countsOf(command, output);
      const fact = {
        type: 'command' as const,
        command,
        directory,
        exitCode: result.exitCode,
        ended: result.ended,
        tests,
      };
      const content = [
        verdict(result, timeout_seconds),
        truncate(output.trimEnd(), MAX_CHARACTERS, result.cutBytes),
      ];
      const report = result.exitCode === 0 ? success : failure;
      return report(
        content.filter(Boolean).join('\n\n'),
        summaryOf(command, result, tests, timeout_seconds),
        [fact],
      );
    }),
});

/** As a terminal would leave it: without colours, and of a progress line only its last state. */
export const plainText = (output: string): string =>
  stripVTControlCharacters(output)
    .replaceAll('\r\n', '\n')
    .replace(/^.*\r(?=[^\n])/gm, '');

function verdict({ ended, exitCode, output }: ExecResult, seconds: number): string {
  switch (ended) {
    case 'exit':
      return `Exit code ${exitCode}.${output.trim() === '' ? ' No output.' : ''}`;
    case 'timeout':
      return `Killed: it had not ended after ${seconds} s, with everything it had started. Run less of it at once, or give it more time (at most ${MAX_SECONDS} s).`;
    case 'aborted':
      return 'Killed: the turn was stopped.';
    case 'lost':
      return 'The sandbox was stopped while this ran. How far it got is not known, and it is not run again by itself: look at the state of the files before you repeat it.';
  }
}

function summaryOf(
  command: string,
  { ended, exitCode }: ExecResult,
  tests: TestCounts | undefined,
  seconds: number,
): string {
  const isTest = tests !== undefined || isTestCommand(command);
  const parts = [isTest ? 'Ran tests' : `Ran \`${oneLine(command, 50)}\``];
  if (tests !== undefined) parts.push(describeCounts(tests));
  if (ended === 'timeout') parts.push(`killed after ${seconds} s`);
  if (ended === 'aborted') parts.push('stopped');
  if (ended === 'lost') parts.push('end not seen');
  const told = tests !== undefined && tests.failed > 0;
  if (ended === 'exit' && !told && (exitCode !== 0 || (isTest && tests === undefined))) {
    parts.push(`exit ${exitCode}`);
  }
  return parts.join(', ');
}
