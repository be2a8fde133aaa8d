export interface Change {
  median: number;
  /** The middle half of the values before. */
  low: number;
  high: number;
  /** Of the values after, the one farthest from the median before. */
  extreme: number;
  last: number;
  /** How far the extreme is, in interquartile ranges of before. */
  score: number;
}

/**
 * Of the magnitude of what was before: a smaller spread is taken for this much, or a flat line would win by a hair. After
 * nothing but zeros it is of the magnitude of what came, so that the score does not depend on the unit, as it would with
 * scikit-learn's RobustScaler, which BARO uses and which divides by 1 then. BARO says nothing of this; 5 % is our choice,
 * and makes 20 the score of whatever rose from zero.
 */
const LEAST_RELATIVE_SPREAD = 0.05;

/**
 * BARO's robust scorer (Pham et al., "BARO: Robust Root Cause Analysis for Microservices via Multivariate Bayesian
 * Online Change Point Detection", FSE 2024, https://arxiv.org/abs/2405.09330): (max after − median before) / IQR before,
 * here in both directions. `leastSpread`: a spread below this does not matter, in the series' unit. undefined when there is too
 * little on either side.
 */
export function robustScore(
  before: readonly number[],
  after: readonly number[],
  leastSpread: number,
): Change | undefined {
  const last = after.at(-1);
  if (before.length < 4 || last === undefined) return undefined;
  const sorted = before.toSorted((a, b) => a - b);
  const [low, median, high] = [quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)];
  const extreme = after.reduce((far, v) => (Math.abs(v - median) > Math.abs(far - median) ? v : far), last);
  const spread =
    Math.max(high - low, LEAST_RELATIVE_SPREAD * Math.abs(median), leastSpread) ||
    LEAST_RELATIVE_SPREAD * Math.abs(extreme);
  return { median, low, high, extreme, last, score: spread && Math.abs(extreme - median) / spread };
}

/** Linear interpolation between closest ranks; `sorted` is not empty. */
function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? 0;
  const above = sorted[Math.ceil(at)] ?? below;
  return below + (above - below) * (at - Math.floor(at));
}
