import { describe, expect, it } from 'vitest';
import {
  countsOf,
  describeCounts,
  isInspection,
  isTestCommand,
  testCounts,
  testOutcome,
} from '#core/runs/tools/test-counts.ts';

const counts = (passed: number, failed: number, skipped: number) => ({ passed, failed, skipped });

/** Ends of real outputs. */
const outputs: [string, string, ReturnType<typeof counts> | undefined][] = [
  [
    'node:test, spec',
    '✔ a (1.2ms)\n✖ b (9.5ms)\nℹ tests 5\nℹ suites 0\nℹ pass 1\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 1\nℹ duration_ms 315.3\n\n✖ failing tests:\n',
    counts(1, 2, 2),
  ],
  [
    'node:test, TAP',
    '1..4\n# tests 4\n# suites 0\n# pass 3\n# fail 0\n# cancelled 0\n# skipped 1\n# todo 0\n# duration_ms 229.8\n',
    counts(3, 0, 1),
  ],
  [
    'two workspaces of node:test',
    'ℹ tests 2\nℹ suites 0\nℹ pass 2\nℹ fail 0\n\n> b@1.0.0 test\nℹ tests 3\nℹ suites 0\nℹ pass 2\nℹ fail 1\n',
    counts(4, 1, 0),
  ],
  [
    'vitest',
    ' Test Files  2 failed (2)\n      Tests  1 failed | 12 passed | 1 skipped | 1 todo (15)\n   Start at  08:52:52\n',
    counts(12, 1, 2),
  ],
  ['vitest, all passed', ' Test Files  1 passed (1)\n      Tests  14 passed (14)\n', counts(14, 0, 0)],
  [
    'vitest, a file that does not load',
    ' Test Files  1 failed (1)\n      Tests  no tests\n',
    counts(0, 1, 0),
  ],
  [
    'jest',
    'Test Suites: 2 failed, 2 total\nTests:       1 failed, 1 skipped, 1 todo, 11 passed, 14 total\nSnapshots:   0 total\n',
    counts(11, 1, 2),
  ],
  [
    'jest, a file that does not load',
    'Test Suites: 1 failed, 1 passed, 2 total\nTests:       3 passed, 3 total\n',
    counts(3, 1, 0),
  ],
  [
    'mocha',
    '  ✔ a\n  1) b\n  - c\n\n  12 passing (3ms)\n  1 pending\n  2 failing\n\n  1) b:\n',
    counts(12, 2, 1),
  ],
  ['mocha, all passed', '\n  3 passing (1s)\n\n', counts(3, 0, 0)],
  [
    'pytest',
    '=========================== short test summary info ====\n============== 2 failed, 12 passed, 1 skipped, 1 xfailed, 1 warning in 3.44s ===============\n',
    counts(12, 2, 2),
  ],
  ['pytest -q', '1 failed, 1 passed, 1 error in 3.88s\n', counts(1, 2, 0)],
  ['pytest, over a minute', '=== 5 passed in 61.20s (0:01:01) ===\n', counts(5, 0, 0)],
  ['pytest, xpassed is not passed twice', '2 xpassed in 0.10s\n', counts(2, 0, 0)],
  ['pytest, nothing', 'no tests ran in 4.01s\n', counts(0, 0, 0)],
  ['unittest', '-----\nRan 14 tests in 0.003s\n\nOK\n', counts(14, 0, 0)],
  [
    'unittest, failed',
    'Ran 6 tests in 0.005s\n\nFAILED (failures=1, errors=1, skipped=1, expected failures=1)\n',
    counts(3, 2, 1),
  ],
  ['unittest, expected failures', 'Ran 4 tests in 0.005s\n\nOK (expected failures=1)\n', counts(4, 0, 0)],
  ['unittest, nothing', 'Ran 0 tests in 0.000s\n\nNO TESTS RAN\n', counts(0, 0, 0)],
  [
    'go test -v',
    '=== RUN   TestA\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/sub (0.00s)\n--- FAIL: TestB (0.00s)\n--- SKIP: TestC (0.00s)\nFAIL\nFAIL\texample.org/m\t0.003s\nFAIL\n',
    counts(1, 1, 1),
  ],
  [
    'go test',
    'ok  \texample.org/m/a\t0.003s\nok  \texample.org/m/b\t(cached)\n?   \texample.org/m/c\t[no test files]\n',
    counts(2, 0, 0),
  ],
  ['go test, does not build', 'FAIL\texample.org/m [build failed]\nFAIL\n', counts(0, 1, 0)],
  [
    'cargo test',
    'test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n   Doc-tests x\n\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n',
    counts(5, 1, 2),
  ],
  ['rspec', 'Finished in 0.01 seconds\n14 examples, 2 failures, 1 pending\n', counts(11, 2, 1)],
  ['rspec, outside', '0 examples, 0 failures, 1 error occurred outside of examples\n', counts(0, 1, 0)],
  [
    'maven surefire',
    '[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.05 s -- in a.ATest\n[INFO] Results:\n[INFO] \n[ERROR] Tests run: 14, Failures: 1, Errors: 1, Skipped: 2\n',
    counts(10, 2, 2),
  ],
  ['prose', 'The 14 tests passed in 3 s.\nTests are good. 12 passing grades.\n', undefined],
  ['nothing', '', undefined],
];

describe('test summaries', () => {
  it.each(outputs)('%s', (_name, output, expected) => {
    expect(testCounts(output)).toEqual(expected);
    expect(testCounts(output.replaceAll('\n', '  \n')), 'with spaces at line ends').toEqual(expected);
  });

  it('of a command that only prints are not believed', () => {
    const summary = '14 passed in 0.1s\n';
    expect(countsOf('echo "14 passed in 0.1s"', summary)).toBeUndefined();
    expect(countsOf('cd logs && cat test.log | tail -3', summary)).toBeUndefined();
    expect(countsOf('cat test.log; ./check', summary)).toEqual(counts(14, 0, 0));
  });

  it.each([
    [counts(14, 0, 0), '14 passed'],
    [counts(12, 2, 0), '2 of 14 failed'],
    [counts(12, 2, 1), '2 of 14 failed, 1 skipped'],
    [counts(0, 0, 0), 'none ran'],
    [counts(0, 0, 3), 'none ran, 3 skipped'],
  ])('%o is told as "%s"', (tests, words) => {
    expect(describeCounts(tests)).toBe(words);
  });
});

describe('commands', () => {
  it.each([
    'npm test',
    'npm t',
    'npm run test:unit -- --bail',
    'npm --prefix api test',
    'CI=1 npm test 2>&1 | tail -20',
    'npm ci && npm test',
    'cd api; yarn workspace api test',
    'pnpm -r test',
    'node --test',
    'node --experimental-strip-types --test test/',
    'npx vitest run',
    './node_modules/.bin/jest a.test.js',
    'timeout 60 pytest -q',
    'python3 -m pytest',
    '.venv/bin/python -m unittest discover',
    'uv run pytest',
    'go test ./...',
    'cargo test --offline',
    'cargo nextest run',
    'bundle exec rspec',
    './mvnw -q -o test',
    './gradlew clean check',
    'make test',
    '(cd api && make -j2 check)',
    'deno test',
  ])('%s is a test run', (command) => {
    expect(isTestCommand(command)).toBe(true);
  });

  it.each([
    'npm install',
    'npm run build',
    'echo npm test',
    'grep -rn "npm test" .',
    'git commit -m "run; npm test"',
    'test -f package.json',
    'node test-server.js',
    'cat test/a.test.js',
    'cargo build',
    'go build ./...',
    'npm run testimonials',
  ])('%s is none', (command) => {
    expect(isTestCommand(command)).toBe(false);
  });

  it.each([
    ['grep foo a.txt', true],
    ['cd src && ls | wc -l', true],
    ['test -f a || echo no', true],
    ['grep foo a.txt && npm run build', false],
    ['node a.js', false],
  ])('%s only looks: %s', (command, expected) => {
    expect(isInspection(command)).toBe(expected);
  });
});

describe('what a command says about the tests', () => {
  const fact = (
    command: string,
    exitCode: number | null,
    tests?: ReturnType<typeof counts>,
    ended = 'exit',
  ) => ({
    command,
    exitCode,
    ended,
    tests,
  });
  it.each([
    ['passed', fact('npm test', 0, counts(3, 0, 0))],
    ['failed', fact('npm test', 1, counts(3, 1, 0))],
    ['failed, whatever its exit code', fact('npm test | tail', 0, counts(3, 1, 0))],
    ['failed, when all passed and it did not', fact('npm test', 1, counts(3, 0, 0))],
    ['unclear, when none ran', fact('npm test', 0, counts(0, 0, 0))],
    ['passed, by its exit code', fact('make test', 0)],
    ['failed, by its exit code', fact('make test', 2)],
    ["unclear, by another program's exit code", fact('make test | tail', 0)],
    ['unclear, when it was killed', fact('npm test', null, counts(3, 0, 0), 'timeout')],
    ['undefined, when it is no test', fact('npm run build', 0)],
  ])('%s', (expected, command) => {
    expect(String(testOutcome(command))).toBe(expected.split(',')[0]);
  });
});
