import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tools } from '#core/runs/tools/index.ts';
import type { Fact } from '#core/runs/tools/tool.ts';
import { Crash, crashing, createWorkbench, memoryDriver, type Workbench } from './harness.ts';

const TEST = 'test/answer.test.sh';
const files = [{ path: TEST, content: 'test "$(cat answer)" = 42\n' }];
const command = `echo run >> ../runs-of-$KIND; sh ${TEST}`;

/** A deployed commit whose answer is wrong. */
async function deployed(bench: Workbench): Promise<string> {
  await bench.sh(
    `echo 41 > answer; printf '%s' '{"scripts":{"test":"echo run >> .git/tests; sh test/all.sh"}}' > package.json; mkdir test; echo 'test -f answer' > test/all.sh; git add . && git commit -qm deployed`,
  );
  return bench.sh('git rev-parse HEAD');
}

/** Calls a tool again and again, killed before and after each of its operations, until it gets through. */
async function resumed(
  bench: Workbench,
  tool: 'reproduce' | 'propose',
  input: unknown,
  base: string,
  facts: Fact[],
): Promise<Fact[]> {
  const key = `${tool}-${base}`;
  let noted: unknown;
  for (let point = 1; point < 60; point += 1)
    for (const when of ['before', 'after'] as const) {
      const killed = crashing(bench.sandbox, point, when);
      const record = (note: unknown) =>
        killed.operation(async () => {
          noted = note;
        });
      try {
        const result = await bench.call(tools[tool], input, {
          sandbox: killed.sandbox,
          key,
          previous: noted,
          record,
          base,
          facts,
        });
        if (!killed.crashed()) {
          expect(result.isError, result.content).toBe(false);
          return result.facts;
        }
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
      }
    }
  throw new Error('it never got through');
}

describe('a reproduction and a proposal', () => {
  const driver = memoryDriver();
  let bench: Workbench;
  beforeAll(async () => {
    bench = await createWorkbench(driver);
  });
  afterAll(() => driver[Symbol.asyncDispose]());

  it('come about once, wherever the process is killed', async () => {
    const base = await deployed(bench);
    const run = command.replace('$KIND', 'reproduction');
    const facts = await resumed(bench, 'reproduce', { command: run, files }, base, []);
    expect(facts).toEqual([
      expect.objectContaining({ type: 'reproduction', before: expect.objectContaining({ exitCode: 1 }) }),
    ]);
    expect(await bench.sh('cat ../runs-of-reproduction')).toBe('run');
    await bench.sh('echo 42 > answer; git add . && git commit -qm fix');
    const proposed = await resumed(bench, 'propose', { title: 'Answer', body: 'Right.' }, base, facts);
    const proposal = proposed.find((fact) => fact.type === 'proposal');
    expect(proposal).toMatchObject({
      base,
      sha: await bench.sh('git rev-parse HEAD'),
      files: ['answer', TEST],
      reproduction: { before: { exitCode: 1 }, after: { exitCode: 0 } },
      tests: { command: 'npm test', exitCode: 0 },
    });
    expect(await bench.sh('cat ../runs-of-reproduction')).toBe('run\nrun');
    expect(await bench.sh('cat .git/tests')).toBe('run');
  });
});

describe('a reproduction', () => {
  const driver = memoryDriver();
  afterAll(() => driver[Symbol.asyncDispose]());

  it.each([
    [
      'leaves deployed code as it is',
      { command: 'false', files: [{ path: 'answer', content: '0\n' }] },
      'no test',
    ],
    ['is a command that exists', { command: 'no-such-program', files: [] }, 'could not be run'],
    ['does not pass', { command: 'true', files: [] }, 'succeeds'],
    ['has its files', { command: 'false', files: [{ path: 'test/none.sh' }] }, 'none.sh'],
  ])('%s', async (_, input, why) => {
    await using bench = await createWorkbench(driver);
    const base = await deployed(bench);
    const result = await bench.call(tools.reproduce, input, { base });
    expect(result).toMatchObject({ isError: true, facts: [] });
    expect(result.content).toContain(why);
  });

  it('and its proposal are refused where the tests are run in another way than before', async () => {
    await using bench = await createWorkbench(driver);
    const base = await deployed(bench);
    const { facts } = await bench.call(tools.reproduce, { command: `sh ${TEST}`, files }, { base });
    await bench.sh(
      `echo 42 > answer; echo '{"scripts":{"test":"true"}}' > package.json; git add . && git commit -qm fix`,
    );
    const result = await bench.call(tools.propose, { title: 'x', body: '' }, { base, facts });
    expect(result.content).toContain('how the tests are run');
  });
});

describe('a proposal', () => {
  const driver = memoryDriver();
  afterAll(() => driver[Symbol.asyncDispose]());

  const proposedAfter = async (bench: Workbench, work: string) => {
    const base = await deployed(bench);
    await bench.sh('git config user.name Ada; git config user.email ada@example.org');
    const { facts } = await bench.call(tools.reproduce, { command: `sh ${TEST}`, files }, { base });
    await bench.sh(work);
    const result = await bench.call(tools.propose, { title: 'Fix', body: '' }, { base, facts });
    return { ...result, proposal: result.facts.find((fact) => fact.type === 'proposal') };
  };

  it('shows the commit that it names, not one put in its place', async () => {
    await using bench = await createWorkbench(driver);
    const { proposal } = await proposedAfter(
      bench,
      `echo 42 > answer; git add . && git commit -qm fix; shown=$(git rev-parse HEAD)
       echo evil > backdoor.sh; git add . && git commit -q --amend -m fix; git replace HEAD $shown`,
    );
    expect(proposal).toMatchObject({ files: ['answer', 'backdoor.sh', TEST] });
    expect(proposal?.type === 'proposal' && proposal.diff).toContain('+evil');
  });

  it.each([
    ['attributes of the repository', "mkdir -p .git/info; echo '* -diff' > .git/info/attributes"],
    ['attributes that are committed', "echo '* binary' > .gitattributes"],
    ['a NUL in the file', "printf '\\0\\n' >> backdoor.sh"],
    ['settings', 'git config color.diff always; git config diff.noprefix true'],
  ])('shows all of the change in spite of %s', async (_, hide) => {
    await using bench = await createWorkbench(driver);
    const { proposal } = await proposedAfter(
      bench,
      `echo 42 > answer; echo evil > backdoor.sh; ${hide}; git add . && git commit -qm fix`,
    );
    if (proposal?.type !== 'proposal') throw new Error('nothing was proposed');
    expect(proposal.diff).toMatch(/^\+\+\+ b\/backdoor\.sh\n@@.*\n\+evil$/m);
    expect(proposal.diff).not.toContain('\0');
  });

  it.each(['--skip-worktree', '--assume-unchanged'])(
    'is of the files as they are committed, whatever %s hides, and so is the reproduction',
    async (flag) => {
      await using bench = await createWorkbench(driver);
      const hide = `git update-index ${flag} answer; echo 42 > answer`;
      const { content, proposal } = await proposedAfter(
        bench,
        `echo unrelated > notes.txt; git add . && git commit -qm fix; ${hide}`,
      );
      expect(proposal).toBeUndefined();
      expect(content).toContain('Not everything is committed: answer.');
      await bench.sh(hide);
      const base = await bench.sh('git rev-parse HEAD');
      const again = await bench.call(tools.reproduce, { command: 'false', files: [] }, { base });
      expect(again.content).toContain('The code is not as it is deployed any more: answer');
    },
  );
});
