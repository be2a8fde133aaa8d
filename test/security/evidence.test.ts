import { describe, expect, it } from 'vitest';
import { fence } from '#adapters/forge/github-markdown.ts';
import { countsOf, isTestCommand } from '#core/runs/tools/test-counts.ts';

const summary = '# tests 9\n# pass 9\n# fail 0\n';

describe('a test summary', () => {
  it.each([
    `node -e 'console.log("# tests 9\\n# pass 9")'`,
    `node -p '["# tests 9","# pass 9"].join("\\n")'`,
    `python3 -c "print('9 ' + 'passed in 1s')"`,
    `sh -c "cat summary.txt"`,
    `npm test >/dev/null 2>&1; printf '# tests 9\\n# pass 9\\n'`,
    `npm test >/dev/null 2>&1 || echo "9 passed in 0.1s"`,
    'cat summary.txt',
  ])('that the command says itself is none: %s', (command) => {
    expect(countsOf(command, summary)).toBeUndefined();
  });

  it.each([
    'npm test',
    'cd app && npm test 2>&1 | tail -20',
    `npm test; echo "exit: $?"`,
    `bash -c 'npm test'`,
    `node --test -r ./setup.js`,
    'python3 -m pytest -c pytest.ini',
    './run-tests.sh',
    `CI=1 npx vitest run -t "adds 2 passed numbers"`,
  ])('of a test run is believed: %s', (command) => {
    expect(countsOf(command, summary)).toEqual({ passed: 9, failed: 0, skipped: 0 });
  });
});

describe('what would keep the service busy', () => {
  it('is no long look at a command', () => {
    expect(isTestCommand('/'.repeat(200_000))).toBe(false);
    expect(countsOf('npm test', '\n'.repeat(1_000_000))).toBeUndefined();
  });

  it('is no fence around more backticks than a call has room for', () => {
    expect(fence('`a` '.repeat(100_000)).startsWith('```\n')).toBe(true);
  });
});
