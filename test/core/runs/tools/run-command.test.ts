import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tools } from '#core/runs/tools/index.ts';
import { createWorkbench, memoryDriver, type Workbench } from './harness.ts';

const driver = memoryDriver();
let bench: Workbench;
beforeEach(async () => {
  bench = await createWorkbench(driver);
});
afterEach(() => bench[Symbol.asyncDispose]());
afterAll(() => driver[Symbol.asyncDispose]());

const run = (command: string, rest: Record<string, unknown> = {}) =>
  bench.call(tools.run_command, { command, ...rest });

describe('run_command', () => {
  it('tells exit code and output', async () => {
    expect(await run('echo out; echo err >&2')).toEqual({
      content: 'Exit code 0.\n\nout\nerr',
      isError: false,
      summary: 'Ran `echo out; echo err >&2`',
      facts: [
        { type: 'command', command: 'echo out; echo err >&2', exitCode: 0, ended: 'exit', tests: undefined },
      ],
    });
    expect(await run('true')).toMatchObject({ content: 'Exit code 0. No output.' });
    expect(await run('echo no; exit 3')).toMatchObject({
      content: 'Exit code 3.\n\nno',
      isError: true,
      summary: 'Ran `echo no; exit 3`, exit 3',
      facts: [{ exitCode: 3, ended: 'exit' }],
    });
  });

  it('runs where it is told to, and nowhere outside', async () => {
    await bench.sh('mkdir sub');
    expect((await run('basename "$PWD"', { directory: 'sub' })).content).toContain('sub');
    expect(await run('pwd', { directory: '..' })).toMatchObject({ isError: true, facts: [] });
    expect(await run('pwd', { directory: 'none' })).toMatchObject({ isError: true, facts: [] });
  });

  it('shows output while it arrives', async () => {
    const running = run('echo first; while [ ! -e go ]; do sleep 0.02; done; echo second');
    await expect.poll(() => bench.output.join('')).toContain('first');
    expect(bench.output.join('')).not.toContain('second');
    await bench.sh('touch go');
    expect((await running).content).toContain('first\nsecond');
  });

  it('gives the beginning and the end of a long output, and says how much is missing', async () => {
    const { content } = await run('seq 1 200000');
    expect(content.length).toBeLessThan(21_000);
    expect(content).toContain('Exit code 0.\n\n1\n2\n3\n');
    expect(content.endsWith('199999\n200000')).toBe(true);
    const total = Array.from({ length: 200_000 }, (_, index) => String(index + 1).length + 1).reduce(
      (a, b) => a + b,
    );
    const cut = Number(/\[… (\d+) characters cut here …\]/.exec(content)?.[1]);
    expect(total - cut).toBeGreaterThan(15_000);
    expect(total - cut).toBeLessThan(21_000);
  });

  it('shows output as a terminal would leave it', async () => {
    const { content } = await run(String.raw`printf '\033[31mred\033[0m\n10%%\r50%%\r100%%\nwin\r\nend\r'`);
    expect(content).toBe('Exit code 0.\n\nred\n100%\nwin\nend');
  });

  it('says that the time was up, and everything was killed', async () => {
    const result = await run('(sleep 60; echo late > late.txt) & sleep 60', { timeout_seconds: 1 });
    expect(result).toMatchObject({
      isError: true,
      summary: 'Ran `(sleep 60; echo late > late.txt) & sleep 60`, killed after 1 s',
      facts: [{ exitCode: null, ended: 'timeout' }],
    });
    expect(result.content).toContain('had not ended after 1 s');
  });

  it('ends at once when the turn is stopped', async () => {
    const controller = new AbortController();
    const running = bench.call(
      tools.run_command,
      { command: 'echo begun; sleep 60' },
      { signal: controller.signal },
    );
    await expect.poll(() => bench.output.join('')).toContain('begun');
    controller.abort();
    expect(await running).toMatchObject({ isError: true, facts: [{ ended: 'aborted', exitCode: null }] });
  });

  it('throws what is not for the model to mend', async () => {
    await bench.sandbox.stop();
    await expect(run('true')).rejects.toMatchObject({ name: 'SandboxError', code: 'not_running' });
    await bench.sandbox.start();
  });
});

describe('tests run by it', () => {
  const passing = "import { test } from 'node:test';\ntest('adds', () => {});\n";
  const failing = "import { test } from 'node:test';\ntest('fails', () => { throw new Error('no'); });\n";

  it('are counted, by the real runner', async () => {
    await bench.sandbox.files.write('a.test.mjs', passing);
    expect(
      tools.run_command.title({ command: 'node --test', directory: undefined, timeout_seconds: 300 }),
    ).toBe('Running tests');
    expect(await run('node --test')).toMatchObject({
      isError: false,
      summary: 'Ran tests, 1 passed',
      facts: [{ exitCode: 0, tests: { passed: 1, failed: 0, skipped: 0 } }],
    });
    await bench.sandbox.files.write('b.test.mjs', failing);
    expect(await run('node --test')).toMatchObject({
      isError: true,
      summary: 'Ran tests, 1 of 2 failed',
      facts: [{ exitCode: 1, tests: { passed: 1, failed: 1, skipped: 0 } }],
    });
    expect(await run('node --test | tail -20')).toMatchObject({ summary: 'Ran tests, 1 of 2 failed' });
  });

  it('are counted, in Python', async () => {
    await bench.sandbox.files.write(
      'test_a.py',
      'import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): self.fail()\n',
    );
    expect(await run('python3 -m unittest')).toMatchObject({ summary: 'Ran tests, 1 of 2 failed' });
  });

  it('without a summary are told by their exit code', async () => {
    await bench.sandbox.files.write('Makefile', 'test:\n\t@echo fine\n');
    expect(await run('make test')).toMatchObject({
      summary: 'Ran tests, exit 0',
      facts: [{ tests: undefined }],
    });
  });

  it('that passed in a command that failed are told as both', async () => {
    await bench.sandbox.files.write('a.test.mjs', passing);
    expect(await run('node --test && exit 2')).toMatchObject({ summary: 'Ran tests, 1 passed, exit 2' });
  });

  it('are not believed from an echo', async () => {
    expect(await run('echo "14 passed in 0.1s"')).toMatchObject({ facts: [{ tests: undefined }] });
  });
});
