import { findingEvent } from '../../events.ts';
import type { Source } from './evidence.ts';

/** What alerts and detectors said. */
export const signalsSource: Source = {
  name: 'signals',
  async gather({ signals }) {
    return signals.map(({ kind, title, query, labels, payload, starts_at, ends_at }) => {
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
      return { kind: 'signal', title: `${kind}: ${title}`, text: lines.join('\n'), data: { labels } };
    });
  },
};
