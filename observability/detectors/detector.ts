/** The detector port: where a series may be, judged by where it has been. */

/** One measurement; `t` in milliseconds since the epoch, `v` in the series' unit. */
export interface Point {
  readonly t: number;
  readonly v: number;
}

/** Where a value is expected, and the band it is usual in: its edges are as far out as the detector's limit allows. */
export interface Band {
  readonly expected: number;
  readonly low: number;
  readonly high: number;
}

export interface Judgement {
  readonly t: number;
  readonly v: number;
  /** From 0 (as expected) over 0.5 (on the band's edge) towards 1. */
  readonly score: number;
  readonly band: Band;
}

/**
 * Pure: the same points give the same bands.
 *
 * `history` is what the series was before, oldest first, without what is known to be an anomaly. A point is judged by
 * the history and by the points before it. undefined: there is too little to go by, so nothing is said of that point.
 */
export interface Detector {
  readonly name: string;
  judge(history: readonly Point[], points: readonly Point[]): (Judgement | undefined)[];
}

/**
 * The least half width of a band. What never moves has no spread of its own, and a change too small to matter is no
 * anomaly: the wider of the two holds.
 */
export interface Floor {
  /** Of the expected value, without a unit. */
  readonly relative: number;
  /** In the series' unit. */
  readonly absolute: number;
}

/**
 * 1 − 2^−d², d being the distance from the expected value in half widths of the band: 0.5 on the edge, 0.94 at twice
 * as far. The shape is ours; it grows slowly near the middle, where noise lives, and never falls.
 */
export function scoreOf(v: number, { expected, low, high }: Band): number {
  const d = v >= expected ? (v - expected) / (high - expected) : (expected - v) / (expected - low);
  // 0/0: on a band without width, just where it is expected.
  return Number.isNaN(d) ? 0 : 1 - 2 ** -(d * d);
}

/** A band around `expected` of `limit` spreads, and never narrower than the floor. */
export function bandOf(expected: number, spread: number, limit: number, floor: Floor): Band {
  const half = Math.max(limit * spread, floor.relative * Math.abs(expected), floor.absolute);
  return { expected, low: expected - half, high: expected + half };
}
