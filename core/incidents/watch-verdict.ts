import type { WatchedSeries, WatchSample } from './tables.ts';

/** `unknown`: too little was seen to say either. */
export type Outcome = 'recovered' | 'not_recovered' | 'unknown';

export interface Verdict {
  outcome: Outcome;
  /** In words for people. */
  words: string;
}

/** The series must be inside for this part of the window at its end: before, the fix may still take effect. */
const REST = 1 / 3;

/**
 * Whether the series came back: all inside their bands at every look for the whole rest of the window. What was not
 * measured is no proof of either: more than half of the rest must have been.
 */
export function verdictOf(series: readonly WatchedSeries[], samples: readonly WatchSample[]): Verdict {
  const looks = samples.map(lookAt);
  const lastOutside = looks.lastIndexOf('outside');
  const rest = looks.slice(lastOutside + 1);
  const needed = Math.max(1, Math.ceil(samples.length * REST));
  const seen = rest.filter((look) => look === 'inside').length;
  const what = series.length === 1 ? 'The series was' : `All ${series.length} series were`;
  if (rest.length < needed)
    return { outcome: 'not_recovered', words: `Outside at look ${lastOutside + 1} of ${samples.length}.` };
  if (seen * 2 <= rest.length)
    return {
      outcome: 'unknown',
      words: `Only ${seen} of the last ${rest.length} looks found data for every series: that proves no recovery.`,
    };
  return {
    outcome: 'recovered',
    words: `${what} inside in the last ${rest.length} of ${samples.length} looks${seen < rest.length ? ` (${rest.length - seen} without data)` : ''}.`,
  };
}

type Look = 'inside' | 'outside' | 'unknown';

function lookAt({ inside }: WatchSample): Look {
  if (inside.includes(false)) return 'outside';
  return inside.length > 0 && inside.every((each) => each === true) ? 'inside' : 'unknown';
}

export const isInside = (
  { low, high }: { low: number | null; high: number | null },
  value: number,
): boolean => (low === null || value >= low) && (high === null || value <= high);
