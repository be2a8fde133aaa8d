import { afterAll, describe, expect, it } from 'vitest';
import { tools } from '#core/runs/tools/index.ts';
import type { Tool } from '#core/runs/tools/tool.ts';
import { loadTemplate } from '#sandbox/templates.ts';
import { uniqueKey } from '#test/contracts/sandbox.ts';
import { Crash, crashing, createWorkbench, memoryDriver, type Workbench } from './harness.ts';

const driver = memoryDriver();
afterAll(() => driver[Symbol.asyncDispose]());

interface Case {
  tool: Tool;
  input: unknown;
  setup?: string;
  /** The effect as seen from outside; the same however often the call was cut off. */
  effect: (bench: Workbench) => Promise<unknown>;
  expected: unknown;
}

const cases: Case[] = [
  {
    tool: tools.edit_file,
    input: { path: 'a.txt', old_string: 'one', new_string: 'one one' },
    setup: 'printf "one\\ntwo\\n" > a.txt',
    effect: ({ text }) => text('a.txt'),
    expected: 'one one\ntwo\n',
  },
  {
    tool: tools.create_file,
    input: { path: 'deep/a.txt', content: 'new\n' },
    effect: ({ text }) => text('deep/a.txt'),
    expected: 'new\n',
  },
  {
    tool: tools.delete_file,
    input: { path: 'a.txt' },
    setup: 'echo a > a.txt; echo b > b.txt',
    effect: ({ sh }) => sh('ls'),
    expected: 'b.txt',
  },
  {
    tool: tools.create_directory,
    input: { path: 'a/b' },
    effect: ({ sh }) => sh('find a'),
    expected: 'a\na/b',
  },
  {
    tool: tools.run_command,
    input: { command: 'echo ran >> count.txt' },
    effect: ({ text }) => text('count.txt'),
    expected: 'ran\n',
  },
  {
    tool: tools.git_commit,
    input: { message: 'Say hello   \n\n\n\nBecause it is polite.\n' },
    setup: 'echo a > a.txt; git add .; git commit -qm first; echo hello > hello.txt',
    effect: ({ sh }) => sh('git log --format=%s; git status --short'),
    expected: 'Say hello\nfirst',
  },
  {
    tool: tools.git_commit,
    input: { message: 'The very first' },
    setup: 'echo hello > hello.txt',
    effect: ({ sh }) => sh('git log --format=%s; git status --short'),
    expected: 'The very first',
  },
  {
    tool: tools.scaffold_project,
    input: { template: 'python-api', name: 'Recipes' },
    effect: async ({ sh, text }) => {
      const paths = (await sh('find . -path ./.git -prune -o -type f -printf "%P\\n"')).split('\n').sort();
      return Promise.all(paths.map(async (path) => ({ path, content: await text(path) })));
    },
    expected: (await loadTemplate('python-api', { projectName: 'Recipes' })).files,
  },
];

describe.each(cases)('$tool.name, cut off', ({ tool, input, setup, effect, expected }) => {
  it.each(['before', 'after'] as const)(
    '%s any of its operations, has its effect exactly once',
    async (when) => {
      let point = 0;
      for (let crashed = true; crashed; ) {
        point += 1;
        await using bench = await createWorkbench(driver);
        if (setup !== undefined) await bench.sh(setup);
        const dying = crashing(bench.sandbox, point, when);
        let noted: unknown;
        const key = uniqueKey();
        const record = (note: unknown) =>
          dying.operation(async () => {
            noted = JSON.parse(JSON.stringify(note));
          });
        const first = await bench
          .call(tool, input, { key, sandbox: dying.sandbox, record })
          .catch((error: unknown) => error);
        crashed = dying.crashed();
        if (crashed) expect(first).toBeInstanceOf(Crash);
        // Not cut off in the call: then between its end and the record of its result.
        const second = await bench.call(tool, input, { key, previous: noted });
        expect(second, `${when} ${point}: ${second.content}`).toMatchObject({ isError: false });
        if (!crashed) expect(second.facts).toEqual((first as { facts: unknown }).facts);
        expect(await effect(bench), `${when} ${point}`).toEqual(expected);
      }
      // At least one crash happened.
      expect(point).toBeGreaterThan(1);
    },
  );
});

describe('a call taken up again', () => {
  it('leaves an edited file alone that something else has changed since', async () => {
    await using bench = await createWorkbench(driver);
    await bench.sandbox.files.write('a.txt', 'one\n');
    const input = { path: 'a.txt', old_string: 'one', new_string: 'two' };
    let note: unknown;
    const record = async (value: unknown) => {
      note = value;
      throw new Crash('killed');
    };
    await expect(bench.call(tools.edit_file, input, { record })).rejects.toThrow(Crash);
    await bench.sandbox.files.write('a.txt', 'one, and more\n');
    const result = await bench.call(tools.edit_file, input, { previous: note });
    expect(result).toMatchObject({ isError: true, facts: [] });
    expect(result.content).toContain('changed by something else');
    expect(await bench.text('a.txt')).toBe('one, and more\n');
  });

  it('does not take a commit of another for its own', async () => {
    await using bench = await createWorkbench(driver);
    await bench.sh('echo a > a.txt; git add .; git commit -qm first');
    const before = await bench.sh('git rev-parse HEAD');
    await bench.sh('echo b > b.txt; git add .; git commit -qm other; echo c > c.txt');
    const result = await bench.call(tools.git_commit, { message: 'mine' }, { previous: { before } });
    expect(result.isError).toBe(true);
    expect(await bench.sh('git log --format=%s')).toBe('other\nfirst');
  });

  it('says that the end of a command was not seen when the sandbox was stopped meanwhile', async () => {
    await using bench = await createWorkbench(driver);
    const key = uniqueKey();
    const first = bench.call(tools.run_command, { command: 'echo begun; sleep 60' }, { key });
    await expect.poll(() => bench.output.join('')).toContain('begun');
    await bench.sandbox.stop();
    await bench.sandbox.start();
    for (const result of [
      await first,
      await bench.call(tools.run_command, { command: 'echo begun; sleep 60' }, { key }),
    ]) {
      expect(result).toMatchObject({ isError: true, summary: 'Ran `echo begun; sleep 60`, end not seen' });
      expect(result.content).toContain('not known');
    }
  });
});
