import { testOutcome } from './tools/test-counts.ts';
import type { Fact } from './tools/tool.ts';

/** The same of a turn that works on a fix nobody asked for: a reproduction, then a proposal of the last commit. */
export function remediationGaps(facts: readonly Fact[]): string | undefined {
  const last = (type: Fact['type']) => facts.findLastIndex((fact) => fact.type === type);
  if (last('reproduction') < 0)
    return 'Nothing was reproduced: call reproduce with a command that fails on the deployed code because of the fault, or say in your last message what you tried and why it cannot be reproduced.';
  if (last('proposal') < 0 || last('commit') > last('proposal'))
    return 'Your change is not proposed: commit it and call propose, or say in your last message why there is no fix.';
  return undefined;
}

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
