import { z } from 'zod';
import { runGit } from '#sandbox/git-command.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import { diff, diffStat, indexFromHead, isAncestor, status } from '#sandbox/workspace-git.ts';
import { runChecked } from './checked-command.ts';
import { refusedPath } from './denied.ts';
import { failure, mendable, success } from './result.ts';
import { projectTests } from './test-command.ts';
import { countsOf, describeCounts, testOutcome } from './test-counts.ts';
import { isTestFile } from './test-files.ts';
import { sha256 } from './text-file.ts';
import { defineTool, type Fact, type Reproduction, type ToolContext, type ToolResult } from './tool.ts';
import { oneLine } from './truncate.ts';

const FAILED = 'Not proposed';
/** Of the diff that is kept: more than a card or a pull request shows. */
const MAX_DIFF = 262_144;

const schema = z.strictObject({
  title: z.string().trim().min(1).max(200).describe('What the change does, in one line.'),
  body: z.string().max(10_000).describe('Root cause and fix, for the people who decide, in Markdown.'),
});

/** The commit whose shape was checked; what runs from here on may leave files behind. */
const note = z.object({ sha: z.string() });

export const propose = defineTool({
  name: 'propose',
  description:
    "Asks the team to approve the committed change. Before that it is checked: the reproduction must succeed now, with its files unchanged and committed; the project's tests must pass; more than tests must have changed; nothing that policy denies. The answer says what is missing.",
  schema,
  effect: 'write',
  title: () => 'Checking the fix before it is proposed',
  execute: (input, context) => mendable(FAILED, () => attempt(input, context)),
});

async function attempt(request: z.output<typeof schema>, context: ToolContext): Promise<ToolResult> {
  const { sandbox, base, facts, intent } = context;
  const reproduction = facts.findLast((fact) => fact.type === 'reproduction');
  if (base === undefined || reproduction?.type !== 'reproduction')
    return failure(
      'The fault has not been reproduced: nothing can be proposed. Call reproduce with a command that fails on the deployed code.',
      `${FAILED}: no reproduction`,
    );
  let sha = note.safeParse(intent.previous).data?.sha;
  if (sha === undefined) {
    // What is checked below are the files, what is approved the commit: the index must not hide a difference.
    await indexFromHead(sandbox);
    const { head, files } = await status(sandbox);
    if (files.length > 0 || head === undefined)
      return failure(
        `Not everything is committed: ${listed(files.map(({ path }) => path))}. Commit it with git_commit, then propose again.`,
        `${FAILED}: not everything is committed`,
      );
    const problem = await shapeOf(context, reproduction, { base, sha: head });
    if (problem) return problem;
    await intent.record({ sha: head });
    sha = head;
  }
  const at = { base, sha };
  const after = await runChecked(context, 'reproduction', reproduction.command);
  if ('problem' in after) return failure(after.problem, FAILED);
  if (after.exitCode !== 0)
    return failure(
      `The reproduction still fails (exit code ${after.exitCode}): the fault is not fixed.\n\n${after.output}`,
      `${FAILED}: the reproduction still fails`,
    );
  const way = await projectTests(sandbox, at, facts);
  if ('problem' in way) return failure(way.problem, `${FAILED}: no tests`);
  const tests = await runChecked(context, 'tests', way.command, way.directory);
  if ('problem' in tests) return failure(tests.problem, FAILED);
  const counts = countsOf(way.command, tests.output);
  const run: Extract<Fact, { type: 'command' }> = {
    type: 'command',
    command: way.command,
    directory: way.directory,
    exitCode: tests.exitCode,
    ended: 'exit',
    tests: counts,
  };
  if (testOutcome(run) !== 'passed')
    return failure(
      `The project's tests do not pass with the change (\`${way.command}\`, exit code ${tests.exitCode}).\n\n${tests.output}`,
      `${FAILED}: the tests fail`,
      [run],
    );
  // Kept even if the branch moves on: what is approved is this commit.
  await runGit(sandbox, ['update-ref', `refs/comio/proposal/${sha}`, sha]);
  // A database keeps no NUL.
  const whole = (await diff(sandbox, { from: base, to: sha, text: true })).replaceAll('\0', '\ufffd');
  const { files } = await diffStat(sandbox, { from: base, to: sha });
  const { type: _, ...shown } = reproduction;
  const proposal: Fact = {
    type: 'proposal',
    ...request,
    ...at,
    diff: whole.length > MAX_DIFF ? `${whole.slice(0, MAX_DIFF)}\n… (shortened)\n` : whole,
    diffDigest: sha256(whole),
    files: files.map(({ path }) => path),
    reproduction: { ...shown, after },
    tests: { ...tests, command: way.command, counts },
  };
  const passed = counts ? `, ${describeCounts(counts)}` : '';
  return success(
    `Proposed ${sha.slice(0, 12)}: the reproduction fails before and succeeds after the change; tests: exit code 0${passed}. The team is asked once this turn ends. End it with a few sentences on cause and fix.`,
    `Proposed: ${oneLine(request.title, 60)}`,
    [run, proposal],
  );
}

/** What the change must be, whatever runs; undefined when it is. */
async function shapeOf(
  { sandbox, policy }: ToolContext,
  reproduction: Reproduction,
  { base, sha }: { base: string; sha: string },
): Promise<ToolResult | undefined> {
  if (!(await isAncestor(sandbox, base, sha)))
    return failure(
      `The commits do not build upon the deployed commit ${base.slice(0, 12)}. Put them on top of it.`,
      `${FAILED}: not on top of what is deployed`,
    );
  const changed = (await diffStat(sandbox, { from: base, to: sha })).files.map(({ path }) => path);
  const denied = policy.firstDenied(changed);
  if (denied !== undefined) return refusedPath(denied);
  const own = reproduction.files.map(({ path }) => path);
  const missing = own.filter((path) => !changed.includes(path));
  if (missing.length > 0)
    return failure(
      `The reproduction is not part of the change: commit ${listed(missing)} with it.`,
      `${FAILED}: the reproduction is missing`,
    );
  for (const { path, sha256: seen } of reproduction.files)
    if ((await hashOf(sandbox, path)) !== seen)
      return failure(
        `${path} is not what was seen to fail: make it as it was, or take your changes back and reproduce again.`,
        `${FAILED}: the reproduction was changed`,
      );
  if (changed.every((path) => own.includes(path) || isTestFile(path)))
    return failure(
      'The change touches tests only, so the fault is still there. Change the code that causes it.',
      `${FAILED}: only tests were changed`,
    );
  return undefined;
}

const hashOf = async (sandbox: Sandbox, path: string): Promise<string> =>
  sha256(await sandbox.files.read(path));

const listed = (paths: readonly string[]): string =>
  `${paths.slice(0, 10).join(', ')}${paths.length > 10 ? ` and ${paths.length - 10} more` : ''}`;
