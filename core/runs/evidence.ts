import type { DiffStat } from '#sandbox/workspace-git.ts';
import type { Block, Card, Tone } from '../conversations/card.ts';
import type { TurnVerb } from '../store/schema.ts';
import { describeCounts, isInspection, type TestOutcome, testOutcome } from './tools/test-counts.ts';
import type { Fact } from './tools/tool.ts';
import { oneLine } from './tools/truncate.ts';

export interface FinalView {
  verb: TurnVerb;
  /** The model's last words; '' when it had none. */
  words: string;
  /** What the turn's tool calls were seen to do, in order. */
  facts: readonly Fact[];
  /** From the turn's start to its end. */
  diffStat: DiffStat | undefined;
  pullRequest: { number: number; url: string } | undefined;
  /** Who stopped the turn. */
  stopped?: string | undefined;
  /** Why it could not go on, in words for people. */
  failed?: string | undefined;
}

type CommandFact = Extract<Fact, { type: 'command' }>;

/** The last test run of the turn. */
interface Tests {
  fact: CommandFact;
  outcome: TestOutcome;
  /** Files were changed after it. */
  stale: boolean;
}

const MAX_FILES = 12;
const MAX_FAILURES = 5;
const MAX_WORDS = 6000;

/**
 * The final message of a turn, composed from what was observed. The model's words are quoted as its summary; title,
 * tone and every number come from the facts.
 */
export function composeFinal(view: FinalView): Card {
  const commands = view.facts.filter((fact) => fact.type === 'command');
  const tests = lastTests(view.facts);
  const failures = openFailures(view.facts);
  const changed = view.diffStat ? view.diffStat.files.length > 0 : view.facts.some(isChange);
  const answer = view.verb === 'ask' && !changed;
  const blocks: Block[] = [];
  if (view.failed !== undefined) blocks.push({ type: 'markdown', text: view.failed });
  if (view.words.trim() !== '')
    blocks.push({ type: 'markdown', text: answer ? shortened(view.words) : quoted(view.words) });
  if (!answer || commands.length > 0) blocks.push({ type: 'fields', fields: fieldsOf(view, tests, changed) });
  const denied = deniedPaths(view.facts);
  if (denied.length > 0) blocks.push({ type: 'markdown', text: deniedList(denied) });
  if (failures.length > 0) blocks.push({ type: 'markdown', text: failureList(failures) });
  if (view.diffStat && changed) blocks.push({ type: 'markdown', text: fileList(view.diffStat) });
  const links = linksOf(view);
  if (links.length > 0) blocks.push({ type: 'links', links });
  return {
    title: titleOf(view, tests, changed),
    tone: toneOf(view, tests, failures, changed),
    blocks,
    actions: [],
    footer: answer ? undefined : 'Observed by Comio while it worked; the summary is the model’s.',
  };
}

function lastTests(facts: readonly Fact[]): Tests | undefined {
  const at = facts.findLastIndex((fact) => fact.type === 'command' && testOutcome(fact) !== undefined);
  const fact = facts[at];
  if (fact?.type !== 'command') return undefined;
  const outcome = testOutcome(fact);
  return outcome && { fact, outcome, stale: facts.slice(at + 1).some(isChange) };
}

const isChange = (fact: Fact): boolean => fact.type === 'file' || fact.type === 'scaffold';

/**
 * Commands whose last run failed after the last change of a file. A failure before that (a reproduction, say) has been
 * acted on, one of a search or listing is an answer, and tests have a line of their own.
 */
function openFailures(facts: readonly Fact[]): CommandFact[] {
  const lastChange = facts.findLastIndex(isChange);
  const last = new Map<string, CommandFact>();
  for (const fact of facts.slice(lastChange + 1)) {
    if (fact.type === 'command' && testOutcome(fact) === undefined) last.set(fact.command, fact);
  }
  return [...last.values()].filter((fact) => fact.exitCode !== 0 && !isInspection(fact.command));
}

function toneOf(
  { verb, facts, failed, stopped }: FinalView,
  tests: Tests | undefined,
  failures: readonly CommandFact[],
  changed: boolean,
): Tone {
  if (failed !== undefined || tests?.outcome === 'failed') return 'danger';
  if (stopped !== undefined || failures.length > 0) return 'warning';
  if (verb === 'remediate' && !facts.some(({ type }) => type === 'proposal')) return 'warning';
  if (tests !== undefined) return tests.outcome === 'passed' && !tests.stale ? 'success' : 'warning';
  return changed ? 'warning' : 'neutral';
}

function titleOf(view: FinalView, tests: Tests | undefined, changed: boolean): string {
  if (view.failed !== undefined) return 'This could not be finished';
  if (view.stopped !== undefined) return `Stopped by ${oneLine(view.stopped, 40)}`;
  if (view.verb === 'remediate') return remediationTitle(view.facts);
  if (!changed) return view.verb === 'ask' ? 'Answer' : 'Done, without changing a file';
  const published = view.facts.findLast((fact) => fact.type === 'publish');
  const where =
    published?.pullRequest !== undefined
      ? `pull request #${published.pullRequest.number}`
      : published && `${published.repository}, branch ${published.branch}`;
  if (tests?.outcome === 'failed') return where ? `The tests fail: ${where}` : 'The tests fail';
  if (where === undefined) return 'Changed, not published';
  return published?.pullRequest?.created === false ? `Updated ${where}` : `Ready: ${where}`;
}

function fieldsOf(
  view: FinalView,
  tests: Tests | undefined,
  changed: boolean,
): { label: string; value: string }[] {
  const fields = [{ label: 'Tests', value: testLine(tests) }];
  if (view.verb === 'remediate')
    fields.unshift({ label: 'Reproduction', value: reproductionLine(view.facts) });
  const { diffStat } = view;
  if (diffStat && changed) {
    const count = diffStat.files.length;
    fields.push({
      label: 'Changed',
      value: `${count} ${count === 1 ? 'file' : 'files'}, ${plusMinus(diffStat)}`,
    });
  } else if (!changed) fields.push({ label: 'Changed', value: 'No file' });
  const commits = view.facts.filter((fact) => fact.type === 'commit');
  if (commits.length > 0) {
    const shown = commits
      .slice(-5)
      .map(({ sha, subject }) => `${code(sha.slice(0, 7))} ${escaped(oneLine(subject, 60))}`);
    const earlier = commits.length > 5 ? [`… ${commits.length - 5} earlier`] : [];
    fields.push({
      label: commits.length === 1 ? 'Commit' : 'Commits',
      value: [...earlier, ...shown].join('\n'),
    });
  } else if (changed) fields.push({ label: 'Commit', value: 'Not committed' });
  return fields;
}

/** Plain: whether there was a test run, how its last one ended, and whether it still counts. */
function testLine(tests: Tests | undefined): string {
  if (tests === undefined) return 'No tests were run';
  const { fact, outcome, stale } = tests;
  const counted = fact.tests ? `${describeCounts(fact.tests)}, ` : '';
  const how = `${counted}${exitOf(fact)} (${code(oneLine(fact.command, 60))})`;
  const before = stale ? ', before the last change' : '';
  if (outcome === 'failed') return `The last test run failed${before}: ${how}`;
  if (outcome === 'unclear') return `The last test run proves nothing${before}: ${how}`;
  return stale ? `Passed${before} and not run again: ${how}` : `Passed: ${how}`;
}

function remediationTitle(facts: readonly Fact[]): string {
  const proposal = facts.findLast((fact) => fact.type === 'proposal');
  if (proposal?.type === 'proposal') return `Proposed a fix: ${oneLine(proposal.title, 100)}`;
  return facts.some(({ type }) => type === 'reproduction')
    ? 'Reproduced, but no fix was found'
    : 'Could not reproduce the fault';
}

function reproductionLine(facts: readonly Fact[]): string {
  const proposal = facts.findLast((fact) => fact.type === 'proposal');
  const found = facts.findLast((fact) => fact.type === 'reproduction');
  if (found?.type !== 'reproduction') return 'None: no command was seen to fail because of the fault';
  const before = `${code(oneLine(found.command, 60))} fails on the deployed code (exit ${found.before.exitCode})`;
  if (proposal?.type !== 'proposal') return before;
  return `${before} and passes with the change (exit ${proposal.reproduction.after.exitCode})`;
}

const deniedPaths = (facts: readonly Fact[]): string[] => [
  ...new Set(facts.flatMap((fact) => (fact.type === 'denied' ? fact.path : []))),
];

const deniedList = (paths: readonly string[]): string => {
  const lines = paths.slice(0, MAX_FILES).map((path) => `- ${code(oneLine(path, 200))}`);
  return `**Refused to change, denied by policy**\n${lines.join('\n')}`;
};

const exitOf = ({ ended, exitCode }: CommandFact): string => {
  if (ended === 'exit') return `exit ${exitCode}`;
  return ended === 'timeout' ? 'killed when its time was up' : 'its end was not seen';
};

function failureList(failures: readonly CommandFact[]): string {
  const shown = failures
    .slice(-MAX_FAILURES)
    .map((fact) => `- ${code(oneLine(fact.command, 80))}: ${exitOf(fact)}`);
  const earlier = failures.length > MAX_FAILURES ? `\n- … and ${failures.length - MAX_FAILURES} earlier` : '';
  return `**Commands that failed**\n${shown.join('\n')}${earlier}`;
}

function fileList({ files }: DiffStat): string {
  const shown = files
    .slice(0, MAX_FILES)
    .map((file) => `- ${code(oneLine(file.path, 200))} ${plusMinus(file)}`);
  const rest = files.length > MAX_FILES ? `\n- … and ${files.length - MAX_FILES} more` : '';
  return `**Files**\n${shown.join('\n')}${rest}`;
}

const plusMinus = ({ insertions, deletions }: { insertions: number; deletions: number }): string =>
  `+${insertions} −${deletions}`;

function linksOf({ pullRequest, facts }: FinalView): { label: string; url: string }[] {
  const published = facts.findLast((fact) => fact.type === 'publish');
  const pull = published?.pullRequest ?? pullRequest;
  return [
    ...(pull ? [{ label: `Pull request #${pull.number}`, url: pull.url }] : []),
    ...(published ? [{ label: published.repository, url: published.url }] : []),
  ];
}

const shortened = (words: string): string =>
  words.trim().length > MAX_WORDS ? `${words.trim().slice(0, MAX_WORDS)}\n\n… (shortened)` : words.trim();

const quoted = (words: string): string => `**The model’s summary**\n${shortened(words).replace(/^/gm, '> ')}`;

/** A code span that the text's own backticks do not end. */
const code = (text: string): string => `\`${text.replaceAll('`', 'ˋ')}\``;

const escaped = (text: string): string => text.replace(/[\\`*_[\]<>~|]/g, '\\$&');
