import { z } from 'zod';
import { runGit } from '#sandbox/git-command.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import { testOutcome } from './test-counts.ts';
import type { Fact } from './tool.ts';

const manifest = z.object({ scripts: z.object({ test: z.string() }) });

/** npm's placeholder in a package without tests. */
const NO_TESTS = /no test specified/;

/**
 * How the project's tests are run: by its own `npm test`, else by the last test run that the agent was seen to do and
 * that passed, else as the Python template does. `changed`: the change alters that itself, so it would prove nothing.
 */
export async function projectTests(
  sandbox: Sandbox,
  at: { base: string; sha: string },
  facts: readonly Fact[],
): Promise<{ command: string; directory?: string | undefined } | { problem: string }> {
  const [before, after] = await Promise.all([testScript(sandbox, at.base), testScript(sandbox, at.sha)]);
  if (before !== undefined && before !== after)
    return {
      problem:
        'The change alters how the tests are run (scripts.test in package.json), so they would prove nothing. Leave that as it was.',
    };
  if (after !== undefined && !NO_TESTS.test(after)) return { command: 'npm test' };
  const reproductions = new Set(facts.flatMap((fact) => (fact.type === 'reproduction' ? fact.command : [])));
  const seen = facts.findLast(
    (fact) => fact.type === 'command' && !reproductions.has(fact.command) && testOutcome(fact) === 'passed',
  );
  if (seen?.type === 'command') return { command: seen.command, directory: seen.directory };
  if (await hasFile(sandbox, at.sha, 'tests/__init__.py')) return { command: 'python3 -m unittest' };
  return { problem: "It is not known how the project's tests are run: run all of them with run_command." };
}

async function testScript(sandbox: Sandbox, commit: string): Promise<string | undefined> {
  const shown = await runGit(sandbox, ['cat-file', 'blob', `${commit}:package.json`], { ok: [0, 128] });
  if (shown.exitCode !== 0) return undefined;
  try {
    return manifest.safeParse(JSON.parse(shown.stdout.toString())).data?.scripts.test;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const hasFile = async (sandbox: Sandbox, commit: string, path: string): Promise<boolean> =>
  (await runGit(sandbox, ['cat-file', '-e', `${commit}:${path}`], { ok: [0, 1, 128] })).exitCode === 0;
