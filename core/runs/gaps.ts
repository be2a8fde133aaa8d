import { testOutcome } from './tools/test-counts.ts';
import type { Fact } from './tools/tool.ts';

/**
 * What is missing before a turn that changed something is whole: a passing test run after the last change, a commit,
 * a publication. Said to the model once, as an instruction; undefined when nothing is missing.
 */
export function openGaps(facts: readonly Fact[], uncommitted: readonly string[]): string | undefined {
  const lastChange = facts.findLastIndex((fact) => fact.type === 'file' || fact.type === 'scaffold');
  const lastPass = facts.findLastIndex((fact) => fact.type === 'command' && testOutcome(fact) === 'passed');
  const lastCommit = facts.findLastIndex((fact) => fact.type === 'commit');
  const lastPublish = facts.findLastIndex((fact) => fact.type === 'publish');
  const gaps: string[] = [];
  if (lastChange > lastPass) gaps.push('No test run has passed since your last change: run the tests.');
  if (uncommitted.length > 0 && lastChange >= 0) {
    const shown = uncommitted.slice(0, 8).join(', ');
    gaps.push(
      `Not committed: ${shown}${uncommitted.length > 8 ? ` and ${uncommitted.length - 8} more` : ''}.`,
    );
  }
  if (lastCommit > lastPublish) gaps.push('The last commit is not published: call publish.');
  if (gaps.length === 0) return undefined;
  return `${gaps.join(' ')} Do what is missing, or say in your last message why it cannot be done.`;
}
