import type { Selectable } from 'kysely';
import type { Block } from '../conversations/card.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import { literal } from './literal.ts';
import type { DiagnosisTable, EvidenceTable } from './tables.ts';

const MAX_EVIDENCE = 15;
const MAX_TITLE = 110;

/** What was found out, on what evidence, and what code took out of it. */
export function diagnosisBlocks({
  diagnosis,
  evidence,
}: {
  diagnosis: Selectable<DiagnosisTable> | undefined;
  evidence: readonly Pick<Selectable<EvidenceTable>, 'number' | 'title'>[];
}): Block[] {
  const blocks: Block[] = diagnosis ? diagnosisParts(diagnosis) : [];
  if (evidence.length > 0) {
    const lines = evidence
      .slice(0, MAX_EVIDENCE)
      .map(({ number, title }) => `\\[${number}\\] ${literal(oneLine(title, MAX_TITLE))}`);
    if (evidence.length > MAX_EVIDENCE) lines.push(`… and ${evidence.length - MAX_EVIDENCE} more`);
    blocks.push({ type: 'markdown', text: `**Evidence**\n${lines.map((line) => `- ${line}`).join('\n')}` });
  }
  return blocks;
}

function diagnosisParts(diagnosis: Selectable<DiagnosisTable>): Block[] {
  const { root_cause, category, confidence, claims, dropped, next_actions, cap_reason } = diagnosis;
  const blocks: Block[] = [];
  if (root_cause === null) {
    blocks.push({ type: 'markdown', text: '**Nothing found.** The evidence does not show a root cause.' });
  } else {
    blocks.push({ type: 'markdown', text: `**Root cause:** ${literal(oneLine(root_cause, 600))}` });
    const value = `${confidenceWords(confidence)} (${Math.round(confidence * 100)} %)`;
    blocks.push({
      type: 'fields',
      fields: [
        { label: 'Category', value: category },
        { label: 'Confidence', value: cap_reason === null ? value : `${value}, ${cap_reason}` },
      ],
    });
  }
  if (claims.length > 0) {
    const lines = claims.map(({ text, evidence }) => `- ${literal(oneLine(text, 400))} ${cited(evidence)}`);
    blocks.push({ type: 'markdown', text: lines.join('\n') });
  }
  if (dropped.length > 0) {
    const were =
      dropped.length === 1
        ? '1 statement without evidence was'
        : `${dropped.length} statements without evidence were`;
    const whys = dropped.map(({ why }) => `- ${literal(oneLine(why, 200))}`);
    blocks.push({ type: 'markdown', text: `⚠️ ${were} left out:\n${whys.join('\n')}` });
  }
  if (next_actions.length > 0) {
    const lines = next_actions.map((action, index) => `${index + 1}. ${literal(oneLine(action, 300))}`);
    blocks.push({
      type: 'markdown',
      text: `**Next**, as the model suggests; nobody has checked it:\n${lines.join('\n')}`,
    });
  }
  return blocks;
}

/** Escaped: in Markdown `[1]` may be half of a link. */
const cited = (numbers: readonly number[]): string => numbers.map((number) => `\\[${number}\\]`).join('');

const confidenceWords = (confidence: number): string =>
  confidence >= 0.75 ? 'high' : confidence >= 0.45 ? 'medium' : 'low';
