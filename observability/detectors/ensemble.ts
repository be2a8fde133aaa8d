import { type Detector, type Judgement, type Point, scoreOf } from './detector.ts';

/**
 * Several detectors as one, and the patience to believe them. A plain mean of detectors is worse than the best of
 * them; what helped on the Numenta Anomaly Benchmark is a blend of the recent with the seasonal and a debounce.
 */

export interface Member {
  detector: Detector;
  weight: number;
  /** What this detector alone looks at, too: an earlier time, at whatever step. */
  past?: readonly Point[] | undefined;
}

export interface EnsembleOptions {
  detectors: readonly Member[];
  /** Outside begins here, on the weighted mean of the scores. Above 0.5, so that a detector alone must be sure. */
  threshold?: number;
  /** On which side of what is expected an anomaly can be. */
  side?: 'above' | 'below' | 'both';
  /** Opens when `beyond` of the newest `of` points are outside on one side. */
  open?: { beyond: number; of: number };
  /** Closes when this many points in a row are inside. */
  closeAfter?: number;
  /** Milliseconds from one point to the next; what is missing neither opens nor closes. */
  stepMs: number;
  /** Points after which an anomaly that does not end counts as the new normal. */
  acceptAfter?: number;
}

/** Where an anomaly stands; JSON, to be stored between calls. */
export interface EnsembleState {
  /** The newest point judged, in milliseconds since the epoch; older ones are not judged again. */
  last: number | null;
  /** The newest points, oldest first: on which side outside, or 0. */
  votes: { t: number; side: -1 | 0 | 1 }[];
  open: Opened | null;
  /** While one is open: the points in a row that were inside, and when they began. */
  back: { since: number; points: number } | null;
  /** Stretches that were anomalous: nobody learns from them. [from, to) in milliseconds since the epoch. */
  excluded: { from: number; to: number }[];
}

export interface Opened {
  /** The first point outside; milliseconds since the epoch. */
  since: number;
  /** The point at which it was decided. */
  at: number;
  side: -1 | 1;
  value: number;
  low: number | null;
  high: number | null;
  score: number;
  /** Points from the first outside to the decision, both counted. */
  points: number;
}

/** A judged point: the band is null on a side where nothing is an anomaly. */
export interface Judged {
  t: number;
  v: number;
  score: number;
  expected: number;
  low: number | null;
  high: number | null;
}

export type Change = { kind: 'opened'; opened: Opened } | { kind: 'closed'; opened: Opened; endedAt: number };

export interface Advanced {
  state: EnsembleState;
  /** Of the points that are new and of which something can be said. */
  judged: Judged[];
  changes: Change[];
}

export interface Ensemble {
  /**
   * Judges the points that are newer than the state. `history` may overlap with `points` and hold anomalies: what is
   * not to be learned from is left out here. Pure; called again with the state it returned, it changes nothing.
   */
  advance(state: EnsembleState | undefined, history: readonly Point[], points: readonly Point[]): Advanced;
  /** What would be said of these points, oldest first, now: for a picture. Without those of which nothing can be said. */
  judge(state: EnsembleState | undefined, history: readonly Point[], points: readonly Point[]): Judged[];
  /**
   * The stretch to learn from, in milliseconds since the epoch: `steps` points, and what is left out of them. While an
   * anomaly is open it ends where that began, else at `until`.
   */
  learnFrom(state: EnsembleState | undefined, until: number, steps: number): { from: number; to: number };
}

const INITIAL: EnsembleState = { last: null, votes: [], open: null, back: null, excluded: [] };
/** Exclusions older than this many are forgotten; histories are shorter. */
const MAX_EXCLUDED = 50;

export function createEnsemble({
  detectors,
  threshold = 0.6,
  side = 'both',
  open = { beyond: 6, of: 8 },
  closeAfter = 8,
  stepMs,
  acceptAfter = 5_760,
}: EnsembleOptions): Ensemble {
  const [above, below] = [side !== 'below', side !== 'above'];

  function combined(parts: readonly Part[]): Judged | undefined {
    const [first] = parts;
    if (!first) return undefined;
    const { t, v } = first.judgement;
    const expecteds = parts.map(({ judgement }) => judgement.band.expected);
    const [least, most] = [Math.min(...expecteds), Math.max(...expecteds)];
    const weights = parts.reduce((sum, { weight }) => sum + weight, 0);
    const expected =
      parts.reduce((sum, part) => sum + part.weight * part.judgement.band.expected, 0) / weights;
    // Between what one expects and what another does there is nothing to wonder about.
    const outside = (above && v > most) || (below && v < least);
    const score = parts.reduce((sum, part) => sum + part.weight * part.judgement.score, 0) / weights;
    return {
      t,
      v,
      score: outside ? score : 0,
      expected,
      low: below ? edge(parts, weights, threshold, least, -1) : null,
      high: above ? edge(parts, weights, threshold, most, 1) : null,
    };
  }

  const sideOf = ({ v, score, expected }: Judged): -1 | 0 | 1 =>
    score < threshold ? 0 : v > expected ? 1 : -1;

  /** One more point. */
  function step(state: EnsembleState, judged: Judged): Stepped {
    const { t } = judged;
    const where = sideOf(judged);
    const votes = [...state.votes, { t, side: where }]
      .filter((vote) => vote.t > t - 2 * open.of * stepMs)
      .slice(-open.of);
    const next: EnsembleState = { ...state, last: t, votes };
    if (state.open) {
      const back =
        where === 0 ? { since: state.back?.since ?? t, points: (state.back?.points ?? 0) + 1 } : null;
      const old = t - state.open.since > acceptAfter * stepMs;
      if (!old && (back === null || back.points < closeAfter)) return { state: { ...next, back } };
      const endedAt = back?.since ?? t;
      // What has become normal is learned from.
      const excluded = old ? [] : [...state.excluded, { from: state.open.since, to: endedAt }];
      return {
        state: { ...next, votes: [], open: null, back: null, excluded: excluded.slice(-MAX_EXCLUDED) },
        change: { kind: 'closed', opened: state.open, endedAt },
      };
    }
    const beyond = votes.filter((vote) => vote.side !== 0 && vote.side === where);
    const [first] = beyond;
    if (!first || where === 0 || beyond.length < open.beyond) return { state: next };
    const opened: Opened = {
      since: first.t,
      at: t,
      side: where,
      value: judged.v,
      low: judged.low,
      high: judged.high,
      score: judged.score,
      points: Math.round((t - first.t) / stepMs) + 1,
    };
    return { state: { ...next, open: opened, back: null }, change: { kind: 'opened', opened } };
  }

  /** Of each detector what it may learn from, oldest first. */
  const learned = (history: readonly Point[], points: readonly Point[]) =>
    detectors.map((member) => ({ ...member, all: merged(member.past ?? [], history, points) }));

  /** By what was before it and before an anomaly that is open, but for what was anomalous. */
  function judgeOne(
    state: EnsembleState,
    members: ReturnType<typeof learned>,
    point: Point,
  ): Judged | undefined {
    const until = Math.min(point.t, state.open?.since ?? point.t);
    const parts = members.flatMap(({ detector, weight, all }) => {
      const before = all.filter(
        ({ t }) => t < until && !state.excluded.some(({ from, to }) => t >= from && t < to),
      );
      const [judgement] = detector.judge(before, [point]);
      return judgement ? [{ judgement, weight }] : [];
    });
    return combined(parts);
  }

  return {
    learnFrom(state, until, steps) {
      const end = state?.open?.since ?? until;
      const excluded = (state?.excluded ?? []).toReversed();
      // Stretches are oldest first and apart, so each that is reached moves the beginning by its length.
      const from = excluded.reduce(
        (reached, stretch) => (stretch.to > reached ? reached - (stretch.to - stretch.from) : reached),
        end - steps * stepMs,
      );
      return { from, to: end };
    },
    judge(state = INITIAL, history, points) {
      const members = learned(history, points);
      return points.flatMap((point) => judgeOne(state, members, point) ?? []);
    },
    advance(given, history, points) {
      let state = given ?? INITIAL;
      const judged: Judged[] = [];
      const changes: Change[] = [];
      const { last } = state;
      const members = learned(history, points);
      // One by one, since what a point changes is what the next one is judged by.
      for (const point of points.filter(({ t }) => last === null || t > last)) {
        const one = judgeOne(state, members, point);
        if (one) judged.push(one);
        const stepped: Stepped = one ? step(state, one) : { state: { ...state, last: point.t } };
        state = stepped.state;
        if (stepped.change) changes.push(stepped.change);
      }
      return { state, judged, changes };
    },
  };
}

/** Oldest first, of each time one. */
const merged = (...lists: (readonly Point[])[]): Point[] =>
  [...new Map(lists.flat().map((point) => [point.t, point])).values()].toSorted((a, b) => a.t - b.t);

interface Stepped {
  state: EnsembleState;
  change?: Change;
}

interface Part {
  judgement: Judgement;
  weight: number;
}

const HALVINGS = 50;

/**
 * Where, going out from all that is expected, the weighted mean of the scores reaches the threshold. Out there every
 * score grows, so halving finds it. The score of one band reaches `threshold` at √log₂(1/(1 − threshold)) half widths;
 * the mean does between the nearest and the farthest of those.
 */
function edge(
  parts: readonly Part[],
  weights: number,
  threshold: number,
  from: number,
  side: -1 | 1,
): number {
  const reach = Math.sqrt(Math.log2(1 / (1 - threshold)));
  const at = parts.map(({ judgement: { band } }) =>
    side > 0
      ? band.expected + reach * (band.high - band.expected)
      : band.expected - reach * (band.expected - band.low),
  );
  let [inner, outer] = side > 0 ? [from, Math.max(from, ...at)] : [from, Math.min(from, ...at)];
  if (parts.length === 1) return outer;
  for (let i = 0; i < HALVINGS; i += 1) {
    const middle = (inner + outer) / 2;
    const mean = parts.reduce((sum, part) => sum + part.weight * scoreOf(middle, part.judgement.band), 0);
    if (mean / weights < threshold) inner = middle;
    else outer = middle;
  }
  return outer;
}
