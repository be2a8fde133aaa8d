import { bandOf, type Detector, type Floor, scoreOf } from './detector.ts';
import { MAD_TO_SIGMA } from './robust-z-score.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

/**
 * What the same time of the day (or week) looked like before: the weighted median and the weighted median absolute
 * deviation of all points within `slotMs` around that time in the last `periods` periods, a period counting `decay`
 * times as much as the one after it. A seasonal profile with exponential forgetting, as in the seasonal part of Holt
 * and Winters (https://otexts.com/fpp3/holt-winters.html), of medians so that one bad day does not mislead it.
 *
 * The slot is centred on the point's own time, so that no band jumps where one slot ends and the next begins. Periods
 * are of UTC: after a change of summer time it is an hour off, until the old days weigh less than the new.
 * Says nothing before `atLeast` periods hold something at that time.
 */
export function createSeasonal({
  periodMs = DAY_MS,
  slotMs = 20 * MINUTE_MS,
  periods = 14,
  atLeast = 3,
  decay = 0.85,
  limit = 5,
  floor,
}: {
  periodMs?: number;
  slotMs?: number;
  periods?: number;
  atLeast?: number;
  decay?: number;
  limit?: number;
  floor: Floor;
}): Detector {
  return {
    name: 'seasonal',
    judge(history, points) {
      const times = history.map(({ t }) => t);
      return points.map((point) => {
        const seen: Weighted[] = [];
        let found = 0;
        for (let period = 1; period <= periods; period += 1) {
          const centre = point.t - period * periodMs;
          const [from, to] = [indexAt(times, centre - slotMs / 2), indexAt(times, centre + slotMs / 2)];
          if (to === from) continue;
          found += 1;
          // Of a period, whether it was looked at often or rarely.
          const weight = decay ** period / (to - from);
          for (const { v } of history.slice(from, to)) seen.push({ v, weight });
        }
        if (found < atLeast) return undefined;
        const expected = weightedMedian(seen);
        const spread = weightedMedian(seen.map(({ v, weight }) => ({ v: Math.abs(v - expected), weight })));
        const band = bandOf(expected, MAD_TO_SIGMA * spread, limit, floor);
        return { ...point, score: scoreOf(point.v, band), band };
      });
    },
  };
}

interface Weighted {
  v: number;
  weight: number;
}

/** The least value that half of the weight is not above: https://en.wikipedia.org/wiki/Weighted_median. Not of nothing. */
function weightedMedian(values: Weighted[]): number {
  const sorted = values.toSorted((a, b) => a.v - b.v);
  let left = sorted.reduce((sum, { weight }) => sum + weight, 0) / 2;
  for (const { v, weight } of sorted) {
    left -= weight;
    if (left <= 0) return v;
  }
  return sorted.at(-1)?.v ?? Number.NaN;
}

/** How many of the sorted times are before `t`. */
function indexAt(times: readonly number[], t: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] ?? Number.POSITIVE_INFINITY) < t) low = middle + 1;
    else high = middle;
  }
  return low;
}
