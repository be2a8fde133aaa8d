import { findingEvent } from '../../events.ts';
import { truncate } from '../../runs/tools/truncate.ts';
import type { Piece, Scene, Source } from './evidence.ts';

type Signal = Scene['signals'][number];

/** An app chooses its labels, and so how many alerts it has; the first are what a reader needs. */
const MOST = 20;
const MAX_TEXT = 2000;

/** What alerts and detectors said. */
export const signalsSource: Source = {
  name: 'signals',
  async gather({ signals }) {
    const pieces = signals.slice(0, MOST).map(pieceOf);
    const rest = signals.length - pieces.length;
    if (rest === 0) return pieces;
    const title = `${rest} more signals came; only the first ${MOST} are listed`;
    return [...pieces, { kind: 'signal', title, text: title, data: {} }];
  },
};

function pieceOf({ kind, title, query, labels, payload, starts_at, ends_at }: Signal): Piece {
  const finding = kind === 'finding' ? findingEvent.safeParse(payload).data : undefined;
  const annotations = (payload as { annotations?: Record<string, string> }).annotations ?? {};
  const lines = [
    `${kind === 'alert' ? 'Alert' : "A detector's finding"}: ${title}`,
    `since ${starts_at.toISOString()}${ends_at ? ` until ${ends_at.toISOString()}` : ', still going on'}`,
    ...(finding
      ? [`value ${finding.value}; expected from ${finding.low ?? '-∞'} to ${finding.high ?? '∞'}`]
      : []),
    ...Object.entries(annotations).map(([name, text]) => `${name}: ${text}`),
    ...(query === null ? [] : [`query: ${query}`]),
    `labels: ${Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(', ')}`,
  ];
  const text = truncate(lines.join('\n'), MAX_TEXT);
  return { kind: 'signal', title: `${kind}: ${title}`, text, data: { labels } };
}
