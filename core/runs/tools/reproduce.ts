import { posix } from 'node:path';
import { z } from 'zod';
import { gitText } from '#sandbox/git-command.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import { diffStat, indexFromHead } from '#sandbox/workspace-git.ts';
import { runChecked } from './checked-command.ts';
import { refusedByPolicy } from './denied.ts';
import { failure, mendable, success } from './result.ts';
import { isTestFile } from './test-files.ts';
import { sha256 } from './text-file.ts';
import { defineTool, type ToolContext, type ToolResult } from './tool.ts';
import { oneLine } from './truncate.ts';

const FAILED = 'Could not reproduce the fault';
/** Exit codes of sh when it could not run the command at all. */
const NOT_RUN = [126, 127];

const schema = z.strictObject({
  command: z
    .string()
    .trim()
    .min(1)
    .max(4000)
    .describe('Run with sh -c in the workspace. It must fail (exit code other than 0) because of the fault.'),
  files: z
    .array(
      z.strictObject({
        path: z.string().min(1).describe('Relative to the workspace: a new file, or a test.'),
        content: z.string().optional().describe('The whole file. Leave it out if it is there already.'),
      }),
    )
    .max(20)
    .default([])
    .describe('What the command needs: usually one new test. They become part of the change.'),
});

/** The workspace was seen to be the base and the reproduction, nothing else. */
const note = z.object({ checked: z.literal(true) });

export const reproduce = defineTool({
  name: 'reproduce',
  description:
    'Shows the fault: writes the files, runs the command on the code as it is deployed, and expects it to fail. Do it before you change anything. Without it no fix can be proposed; propose runs the same command again, which then must succeed. Called again, it replaces the earlier reproduction.',
  schema,
  effect: 'write',
  title: ({ command }) => `Reproducing the fault: \`${oneLine(command, 50)}\``,
  execute: (input, context) => mendable(FAILED, () => attempt(input, context)),
});

async function attempt(input: z.output<typeof schema>, context: ToolContext): Promise<ToolResult> {
  const { sandbox, base, intent, facts } = context;
  if (base === undefined) return failure('This run has no deployed commit to compare with.', FAILED);
  const files = input.files.map((file) => ({ ...file, path: posix.normalize(file.path) }));
  for (const { path } of files) {
    const refused = await refusedByPolicy(context, path);
    if (refused) return refused;
    if (!isTestFile(path) && (await isIn(sandbox, base, path)))
      return failure(
        `${path} is part of the deployed code and no test: the reproduction must leave it as it is.`,
        FAILED,
      );
  }
  if (!note.safeParse(intent.previous).success) {
    const earlier = facts.flatMap((fact) => (fact.type === 'reproduction' ? fact.files : []));
    const own = new Set([...files, ...earlier].map(({ path }) => path));
    await indexFromHead(sandbox);
    const changed = (await diffStat(sandbox, { from: base })).files.map(({ path }) => path);
    const others = changed.filter((path) => !own.has(path));
    if (others.length > 0)
      return failure(
        `The code is not as it is deployed any more: ${listed(others)}. A reproduction must fail on the unchanged code: take these changes back (git checkout ${base.slice(0, 12)} -- …), reproduce, then change.`,
        `${FAILED}: the code was changed already`,
      );
    for (const { path, content } of files)
      if (content !== undefined) await sandbox.files.write(path, content);
    await intent.record({ checked: true });
  }
  const hashed = await Promise.all(
    files.map(async ({ path }) => ({ path, sha256: sha256(await sandbox.files.read(path)) })),
  );
  const before = await runChecked(context, 'reproduce', input.command);
  if ('problem' in before) return failure(before.problem, FAILED);
  if (before.exitCode === 0)
    return failure(
      `The command succeeds (exit code 0) on the unchanged code, so it does not show the fault. Find one that fails because of it.\n\n${before.output}`,
      'The reproduction passes on the deployed code: it shows no fault',
    );
  if (NOT_RUN.includes(before.exitCode))
    return failure(
      `The command could not be run (exit code ${before.exitCode}); that is not the fault.\n\n${before.output}`,
      FAILED,
    );
  return success(
    `Reproduced: exit code ${before.exitCode}. If the output does not show the fault but another failure, reproduce again.\n\n${before.output}`,
    `Reproduced the fault, exit ${before.exitCode}`,
    [{ type: 'reproduction', command: input.command, files: hashed, before }],
  );
}

const isIn = async (sandbox: Sandbox, commit: string, path: string): Promise<boolean> =>
  (await gitText(sandbox, ['ls-tree', '--name-only', commit, '--', path])) !== '';

const listed = (paths: readonly string[]): string =>
  `${paths.slice(0, 10).join(', ')}${paths.length > 10 ? ` and ${paths.length - 10} more` : ''} differ`;
