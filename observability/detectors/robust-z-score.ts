import { median, medianAbsoluteDeviation } from 'simple-statistics';
import { bandOf, type Detector, type Floor, type Point, scoreOf } from './detector.ts';

/**
 * Makes the median absolute deviation an estimate of the standard deviation of what is normally distributed:
 * 1/Φ⁻¹(3/4). Rousseeuw, Croux (1993), "Alternatives to the Median Absolute Deviation", JASA 88.
 */
export const MAD_TO_SIGMA = 1.4826;

/**
 * Distance from the median of the newest points, in robust standard deviations. Iglewicz, Hoaglin (1993), "How to
 * Detect and Handle Outliers", ASQC vol. 16. Half of the window may be anomalous before it is misled.
 *
 * `window` and `atLeast` count points. `limit` is where the band ends, in robust standard deviations; the 3.5 of the
 * source is for a single sample, while here hundreds of points are judged each hour.
 */
export function createRobustZScore({
  window = 240,
  atLeast = 24,
  limit = 5,
  floor,
}: {
  window?: number;
  atLeast?: number;
  limit?: number;
  floor: Floor;
}): Detector {
  const band = (before: readonly Point[]) => {
    const values = before.map(({ v }) => v);
    return bandOf(median(values), MAD_TO_SIGMA * medianAbsoluteDeviation(values), limit, floor);
  };

  return {
    name: 'robust-z-score',
    judge(history, points) {
      const all = [...history.slice(-window), ...points];
      const first = all.length - points.length;
      return points.map((point, i) => {
        const before = all.slice(Math.max(0, first + i - window), first + i);
        if (before.length < atLeast) return undefined;
        const usual = band(before);
        return { ...point, score: scoreOf(point.v, usual), band: usual };
      });
    },
  };
}
