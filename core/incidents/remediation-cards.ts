import type { Block, Card } from '../conversations/card.ts';
import { describeCounts } from '../runs/tools/test-counts.ts';
import type { Proposal, Ran } from '../runs/tools/tool.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import { literal } from './literal.ts';

interface About {
  proposal: Proposal;
  rootCause: string;
  incidentTitle: string;
}

/** The question: what will be published, in full, and what was seen of it. */
export function approvalCard({ proposal, rootCause }: About, branch: string): Card {
  const { reproduction, tests, files } = proposal;
  const blocks: Block[] = [
    { type: 'markdown', text: `**Root cause:** ${literal(oneLine(rootCause, 400))}` },
    {
      type: 'fields',
      fields: [
        { label: 'Change', value: `${code(proposal.sha.slice(0, 7))}, ${filesOf(files)}` },
        { label: 'On top of', value: `${code(proposal.base.slice(0, 7))}, which is deployed` },
        { label: 'Tests', value: testsOf(proposal) },
      ],
    },
    { type: 'diff', text: proposal.diff },
    {
      type: 'markdown',
      text: `**Reproduction before the change:** exit ${reproduction.before.exitCode} (${code(oneLine(reproduction.command, 100))})`,
    },
    { type: 'code', text: shown(reproduction.before) },
    { type: 'markdown', text: `**and after it:** exit ${reproduction.after.exitCode}` },
    { type: 'code', text: shown(reproduction.after) },
  ];
  return {
    title: `Proposed fix: ${oneLine(proposal.title, 120)}`,
    tone: 'warning',
    blocks,
    actions: [],
    footer: `Approved, it is pushed to ${branch} and becomes a pull request; nothing is merged or deployed. Tests: exit ${tests.exitCode}, seen by Comio.`,
  };
}

/** The pull request's text: what people who were not in the thread need to judge it. */
export function pullRequestBody(
  { proposal, rootCause, incidentTitle }: About,
  incident: { id: string; evidence: readonly { number: number; title: string }[] },
): string {
  const { reproduction } = proposal;
  const evidence = incident.evidence
    .slice(0, 15)
    .map(({ number, title }) => `- \\[${number}\\] ${literal(oneLine(title, 150))}`);
  return [
    `Incident \`${incident.id}\`: ${literal(oneLine(incidentTitle, 200))}`,
    `**Root cause:** ${literal(oneLine(rootCause, 600))}`,
    proposal.body.trim(),
    ...(evidence.length > 0 ? [`**Evidence**\n${evidence.join('\n')}`] : []),
    `**Reproduction:** ${code(oneLine(reproduction.command, 300))}`,
    `Before, on ${code(proposal.base.slice(0, 12))} (exit ${reproduction.before.exitCode}):\n\n${fenced(shown(reproduction.before))}`,
    `After (exit ${reproduction.after.exitCode}):\n\n${fenced(shown(reproduction.after))}`,
    `**Tests:** ${testsOf(proposal)}`,
    'Once it is merged and deployed, Comio watches the same series and says whether they recovered.',
  ].join('\n\n');
}

export const publishedCard = (pull: { number: number; url: string }, environment: string): Card => ({
  title: `The fix is pull request #${pull.number}`,
  tone: 'success',
  blocks: [
    {
      type: 'markdown',
      text: `Merge #${pull.number}, then \`deploy ${environment}\`. Comio then watches the same series and says whether they recovered.`,
    },
    { type: 'links', links: [{ label: `Pull request #${pull.number}`, url: pull.url }] },
  ],
  actions: [],
});

const shown = ({ output }: Ran): string => output || '(no output)';

const testsOf = ({ tests }: Proposal): string =>
  `${tests.counts ? `${describeCounts(tests.counts)}, ` : ''}exit ${tests.exitCode} (${code(oneLine(tests.command, 80))})`;

const filesOf = (files: readonly string[]): string =>
  `${files.length} ${files.length === 1 ? 'file' : 'files'}: ${files.slice(0, 6).map(code).join(', ')}${files.length > 6 ? ', …' : ''}`;

/** A code span that the text's own backticks do not end. */
const code = (text: string): string => `\`${text.replaceAll('`', 'ˋ')}\``;

/** A fence that no line of the text ends. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
