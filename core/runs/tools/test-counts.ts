import { simpleCommands } from './shell-words.ts';
import type { Fact, TestCounts } from './tool.ts';

type CommandFact = Omit<Extract<Fact, { type: 'command' }>, 'type'>;

/**
 * The numbers of the test summaries in `output` (without terminal colours), added up; undefined when there is none.
 * What errors before it is a test (a file that does not load, a crash between tests) counts as failed.
 */
export function testCounts(output: string): TestCounts | undefined {
  const lines = output.split('\n').map((line) => line.trimEnd());
  const found = RECOGNISERS.flatMap((recognise) => recognise(lines));
  if (found.length === 0) return undefined;
  return {
    passed: sum(found.map(({ passed }) => passed)),
    failed: sum(found.map(({ failed }) => failed)),
    skipped: sum(found.map(({ skipped }) => skipped)),
  };
}

/**
 * The counts of a command's output, unless the command only prints (`cat test.log`, `node -e …`) or a summary is among
 * its own words (`npm test >/dev/null; echo "12 passed in 1s"`). A script of the repository is believed: whoever reads
 * what was run can read that as well.
 */
export const countsOf = (command: string, output: string): TestCounts | undefined =>
  onlyPrints(command) || testCounts(command.replaceAll('\\n', '\n').replace(/['"]/g, '\n'))
    ? undefined
    : testCounts(output);

const onlyPrints = (command: string): boolean =>
  simpleCommands(command).every((words) => INSPECTORS.has(words[0] ?? '') || isInline(words));

/** Code that is written in the command itself, and is no test runner. */
const isInline = (words: readonly string[]): boolean =>
  /^(node|deno|bun|python[\d.]*|perl|ruby|php|(ba|da)?sh)$/.test(words[0] ?? '') &&
  words.slice(1).some((word) => /^(-\w*[cepr]|--eval|--print|eval)$/.test(word)) &&
  !words.some(isTestCommand) &&
  !isTestRun(words);

/** A command that is a test run by its name, whatever it printed. */
export const isTestCommand = (command: string): boolean => simpleCommands(command).some(isTestRun);

/** The beginning tells; on a long row of slashes the expression would take minutes. */
const isTestRun = (words: readonly string[]): boolean => TEST_COMMAND.test(words.join(' ').slice(0, 300));

const TEST_COMMAND = new RegExp(
  [
    String.raw`(npm|pnpm|yarn|bun)( -\S+( [^-\s]\S*)?| run| run-script| workspaces?( \S+)?)* (t|tst|test)(:\S+)?( |$)`,
    'node (.* )?--test( |$)',
    String.raw`((npx|pnpm exec|yarn|bunx)( -\S+)* )?(\./)?(node_modules/\.bin/)?(vitest|jest|mocha|ava|tap)( |$)`,
    String.raw`(\S*/)?((uv|poetry|pipenv|hatch) run )?(\S*/)?(python[\d.]* -m )?(pytest|unittest|tox|nox)( |$)`,
    'go test( |$)',
    String.raw`cargo (\S+ )*?(test|nextest)( |$)`,
    String.raw`(bundle exec )?(\S*/)?rspec( |$)`,
    String.raw`(\S*/)?(mvnw?|gradlew?) (\S+ )*(test|verify|check)( |$)`,
    String.raw`make (\S+ )*(test|check)( |$)`,
    '(deno|dotnet|mix|swift|zig build) test( |$)',
  ]
    .map((alternative) => `^${alternative}`)
    .join('|'),
);

/** Nothing but looking: a non-zero exit code is an answer ("no match"), not a failure. */
export const isInspection = (command: string): boolean =>
  simpleCommands(command).every(([program = '']) => INSPECTORS.has(program));

const INSPECTORS = new Set(
  'awk basename cat cd cmp command cut date diff dirname du echo egrep env fgrep file find grep head jq less ls printf pwd rg sed sleep sort stat tail tee test [ tr tree true type uniq wc which'.split(
    ' ',
  ),
);

export type TestOutcome = 'passed' | 'failed' | 'unclear';

/** What a command says about the tests; undefined when it was no test run. */
export function testOutcome(fact: CommandFact): TestOutcome | undefined {
  const { tests, exitCode, ended } = fact;
  if (tests === undefined && !isTestCommand(fact.command)) return undefined;
  if (ended !== 'exit') return 'unclear';
  if (tests === undefined) {
    if (exitCode !== 0) return 'failed';
    // Of a pipe or an alternative the exit code may be another program's.
    return /[|;]/.test(fact.command) ? 'unclear' : 'passed';
  }
  if (tests.failed > 0 || (exitCode !== 0 && tests.passed > 0)) return 'failed';
  return exitCode === 0 && tests.passed > 0 ? 'passed' : 'unclear';
}

/** "14 passed", "2 of 14 failed", "none found". */
export function describeCounts({ passed, failed, skipped }: TestCounts): string {
  const skips = skipped > 0 ? `, ${skipped} skipped` : '';
  if (failed > 0) return `${failed} of ${passed + failed} failed${skips}`;
  return passed > 0 ? `${passed} passed${skips}` : `none ran${skips}`;
}

type Recogniser = (lines: readonly string[]) => TestCounts[];

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
const counts = (passed: number, failed: number, skipped: number): TestCounts => ({ passed, failed, skipped });

/** The number before (or after) each of `words` in a summary line: "2 failed | 12 passed". */
const numberOf = (line: string, word: string): number =>
  Number(new RegExp(String.raw`(\d+) ${word}`).exec(line)?.[1] ?? 0);

/** A file that could not be loaded fails no test, but fails. */
const withFiles = (tests: TestCounts, files: string | undefined): TestCounts =>
  tests.failed === 0 && files !== undefined ? { ...tests, failed: numberOf(files, 'failed') } : tests;

/** `# pass 12` (TAP) or `ℹ pass 12` (spec): a block of one number per line that begins with `tests`. */
const nodeTest: Recogniser = (lines) =>
  lines.flatMap((line, start) => {
    if (!/^(#|ℹ) tests \d+$/.test(line)) return [];
    const block = lines.slice(start, start + 9);
    const value = (name: string) =>
      Number(block.find((row) => row.slice(2).startsWith(`${name} `))?.slice(name.length + 3) ?? 0);
    return [counts(value('pass'), value('fail') + value('cancelled'), value('skipped') + value('todo'))];
  });

const vitest: Recogniser = (lines) =>
  lines.flatMap((line, at) => {
    if (!/^ +Tests {2}(\d+ (passed|failed|skipped|todo)|no tests)/.test(line)) return [];
    const files = lines.slice(Math.max(0, at - 3), at).find((row) => /^ +Test Files {2}/.test(row));
    const skipped = numberOf(line, 'skipped') + numberOf(line, 'todo');
    return [withFiles(counts(numberOf(line, 'passed'), numberOf(line, 'failed'), skipped), files)];
  });

const jest: Recogniser = (lines) =>
  lines.flatMap((line, at) => {
    if (!/^Tests: +.*\d+ total$/.test(line)) return [];
    const suites = lines.slice(Math.max(0, at - 3), at).find((row) => row.startsWith('Test Suites:'));
    const skipped = numberOf(line, 'skipped') + numberOf(line, 'todo');
    return [withFiles(counts(numberOf(line, 'passed'), numberOf(line, 'failed'), skipped), suites)];
  });

const mocha: Recogniser = (lines) =>
  lines.flatMap((line, start) => {
    const passing = /^ +(\d+) passing \(/.exec(line);
    if (!passing) return [];
    const block = lines.slice(start + 1, start + 3).join('\n');
    return [counts(Number(passing[1]), numberOf(block, 'failing'), numberOf(block, 'pending'))];
  });

const PYTEST_PART = String.raw`\d+ (passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|rerun|subtests passed)`;
const PYTEST_SUMMARY = new RegExp(
  String.raw`^(=+ )?(${PYTEST_PART}(, ${PYTEST_PART})*|no tests ran) in [\d.]+s`,
);

const pytest: Recogniser = (lines) =>
  lines.flatMap((line) => {
    const summary = PYTEST_SUMMARY.exec(line)?.[2];
    if (summary === undefined) return [];
    const passed = Number(/(?:^|, )(\d+) passed/.exec(summary)?.[1] ?? 0);
    const failed = Number(/(?:^|, )(\d+) failed/.exec(summary)?.[1] ?? 0);
    return [
      counts(
        passed + numberOf(summary, 'xpassed'),
        failed + numberOf(summary, 'error'),
        numberOf(summary, 'skipped') + numberOf(summary, 'xfailed'),
      ),
    ];
  });

const unittest: Recogniser = (lines) =>
  lines.flatMap((line, start) => {
    const ran = Number(/^Ran (\d+) tests? in [\d.]+s$/.exec(line)?.[1] ?? Number.NaN);
    const verdict = lines.slice(start + 1, start + 4).find((row) => /^(OK|FAILED|NO TESTS RAN)/.test(row));
    if (Number.isNaN(ran) || verdict === undefined) return [];
    const value = (name: string) =>
      Number(new RegExp(String.raw`(?:\(|, )${name}=(\d+)`).exec(verdict)?.[1] ?? 0);
    const failed = value('failures') + value('errors') + value('unexpected successes');
    const skipped = value('skipped');
    return [counts(Math.max(0, ran - failed - skipped), failed, skipped)];
  });

/** With `-v` one line per test, without it one per failed test and per package: then packages count as passed. */
const goTest: Recogniser = (lines) => {
  const packages = lines.filter((line) => /^(ok|FAIL)\s+\S+\s+(\(cached\)|[\d.]+s|\[)/.test(line));
  if (packages.length === 0) return [];
  const number = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length;
  const passedTests = number(/^--- PASS: /);
  const passed = passedTests || packages.filter((line) => line.startsWith('ok')).length;
  const failed = number(/^--- FAIL: /) || packages.filter((line) => line.startsWith('FAIL')).length;
  return [counts(passed, failed, number(/^--- SKIP: /))];
};

const cargoTest: Recogniser = (lines) =>
  lines
    .filter((line) => /^test result: (ok|FAILED)\. \d+ passed; \d+ failed; \d+ ignored/.test(line))
    .map((line) => counts(numberOf(line, 'passed'), numberOf(line, 'failed'), numberOf(line, 'ignored')));

const rspec: Recogniser = (lines) =>
  lines
    .filter((line) => /^\d+ examples?, \d+ failures?/.test(line))
    .map((line) => {
      const failed = numberOf(line, 'failure');
      const pending = numberOf(line, 'pending');
      const outside = numberOf(line, 'errors? occurred');
      return counts(Math.max(0, numberOf(line, 'example') - failed - pending), failed + outside, pending);
    });

/** One line per class with `Time elapsed`, and one per module without. */
const surefire: Recogniser = (lines) =>
  lines.flatMap((line) => {
    const pattern =
      /^(?:\[(?:INFO|ERROR|WARNING)\] )?Tests run: (\d+), Failures: (\d+), Errors: (\d+), Skipped: (\d+)$/;
    const [ran = 0, failures = 0, errors = 0, skipped = 0] = pattern.exec(line)?.slice(1).map(Number) ?? [];
    if (!pattern.test(line)) return [];
    return [counts(ran - failures - errors - skipped, failures + errors, skipped)];
  });

const RECOGNISERS: readonly Recogniser[] = [
  nodeTest,
  vitest,
  jest,
  mocha,
  pytest,
  unittest,
  goTest,
  cargoTest,
  rspec,
  surefire,
];
