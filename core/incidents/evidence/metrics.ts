import { MetricsError, type MetricsSource, type Series } from '#adapters/queries/metrics-source.ts';
import { queryFor, SERIES, spellValue, type Unit } from '../series.ts';
import type { Piece, Scene, Source } from './evidence.ts';
import { type Change, robustScore } from './robust-score.ts';

interface Candidate {
  title: string;
  query: string;
  unit: Unit | undefined;
  /** A spread below this does not matter. */
  leastSpread: number;
}

const MAX_PIECES = 8;
/** Of what was not measured before, and so says less. */
const MAX_BEGUN = 3;
/** Below this many interquartile ranges nothing happened. */
const LEAST_SCORE = 3;
const PEOPLE = 'app="$app",route!~"/metrics|/health"';

/** The golden signals again, for each route: where it happened. */
const BY_ROUTE: readonly Candidate[] = [
  {
    title: 'latency p95 by route',
    query: `histogram_quantile(0.95, sum by (le, route) (rate(http_request_duration_seconds_bucket{${PEOPLE}}[$window])))`,
    unit: 's',
    leastSpread: 0.005,
  },
  {
    title: 'failed requests by route',
    query: `sum by (route, status) (rate(http_requests_total{${PEOPLE},status=~"5.."}[$window]))`,
    unit: 'req/s',
    leastSpread: 0.05,
  },
  {
    title: 'requests by route',
    query: `sum by (route) (rate(http_requests_total{${PEOPLE}}[$window]))`,
    unit: 'req/s',
    leastSpread: 0.2,
  },
];

/** Every series known of the app, those that changed most first. */
export const metricsSource = (deps: { metrics: MetricsSource | undefined; stepMs: number }): Source => ({
  name: 'metrics',
  async gather(scene, signal) {
    const { metrics, stepMs } = deps;
    const { app } = scene;
    if (!metrics || app === undefined) return [];
    const candidates = candidatesOf(scene).map((one) => ({
      ...one,
      query: queryFor(one.query, app, stepMs),
    }));
    const read = await Promise.all(
      candidates.map(async (candidate) => {
        const { from, to } = scene;
        try {
          return (await metrics.range({ query: candidate.query, from, to, stepMs }, signal)).flatMap(
            ({ labels, points }): Read[] => {
              const finite = points.filter(({ v }) => Number.isFinite(v));
              const values = (after: boolean) =>
                finite.filter(({ t }) => t >= scene.onset.getTime() === after).map(({ v }) => v);
              return [{ candidate, labels, before: values(false), after: values(true) }];
            },
          );
        } catch (error) {
          // An alert's own link need not hold a query of this server.
          if (error instanceof MetricsError && error.code === 'bad_query') return [];
          throw error;
        }
      }),
    );
    const all = read.flat();
    const wasMeasured = all.some(({ before }) => before.length > 0);
    const begun = all.filter((one) => one.before.length === 0 && !(wasMeasured && isZeroWhenAbsent(one)));
    const changed = all
      .filter((one) => !begun.includes(one))
      .flatMap(changeOf)
      .filter(({ change }) => change.score >= LEAST_SCORE)
      .toSorted((a, b) => b.change.score - a.change.score)
      .map(changedPiece);
    // What was not measured before has no score: it stands in the middle, after the stronger half of what has one.
    const half = Math.ceil(Math.min(changed.length, MAX_PIECES - MAX_BEGUN) / 2);
    return changed
      .toSpliced(
        half,
        0,
        ...begun
          .filter(({ after }) => after.length > 0)
          .slice(0, MAX_BEGUN)
          .map(begunPiece),
      )
      .slice(0, MAX_PIECES);
  },
});

/** Of an app that is measured, requests of a kind of which there is no series were none; of anything else that is not known. */
const isZeroWhenAbsent = ({ candidate }: Read): boolean => candidate.unit === 'req/s';

/** By query: a signal's own is often one of ours. */
function candidatesOf({ signals }: Scene): Candidate[] {
  const ours = SERIES.map(({ title, query, unit, floor }) => ({
    title,
    query,
    unit,
    leastSpread: floor.absolute / 4,
  }));
  const theirs = signals.flatMap(({ title, query, kind }): Candidate[] =>
    query === null || kind === 'finding' ? [] : [{ title, query, unit: undefined, leastSpread: 0 }],
  );
  return [...new Map([...theirs, ...BY_ROUTE, ...ours].map((one) => [one.query, one])).values()];
}

interface Read {
  candidate: Candidate;
  labels: Series['labels'];
  before: number[];
  after: number[];
}

interface Changed extends Read {
  change: Change;
}

function changeOf(read: Read): Changed[] {
  const { candidate, after } = read;
  const before = read.before.length > 0 ? read.before : after.map(() => 0).concat(0, 0, 0, 0);
  const change = robustScore(before, after, candidate.leastSpread);
  return change ? [{ ...read, change }] : [];
}

/** Its name, and how its values are spelt: for people, and for people and the model. */
function wordsOf({ candidate, labels }: Read) {
  const { title, unit } = candidate;
  const where = Object.entries(labels)
    .filter(([name]) => name !== 'app')
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
  return {
    name: where === '' ? title : `${title} (${where})`,
    spell: (v: number) => (unit ? spellValue(v, unit) : short(v)),
    both: (v: number) => (unit ? `${spellValue(v, unit)} (${short(v)})` : short(v)),
  };
}

function changedPiece(changed: Changed): Piece {
  const { candidate, labels, change } = changed;
  const { name, spell, both } = wordsOf(changed);
  return {
    kind: 'metric',
    title: `${name}: ${spell(change.median)} before, ${spell(change.extreme)} after`,
    text: [
      name,
      `before: median ${both(change.median)}, the middle half from ${both(change.low)} to ${both(change.high)}`,
      `after: farthest from it ${both(change.extreme)}, last ${both(change.last)}`,
      `changed by ${short(change.score)} interquartile ranges`,
      `query: ${candidate.query}`,
    ].join('\n'),
    data: { query: candidate.query, labels, ...change },
  };
}

function begunPiece(begun: Read): Piece {
  const { candidate, labels, after } = begun;
  const { name, spell, both } = wordsOf(begun);
  const [low, high, last] = [Math.min(...after), Math.max(...after), after.at(-1) ?? 0];
  return {
    kind: 'metric',
    title: `${name}: not measured before, ${spell(last)} after`,
    text: [
      name,
      'before: not measured, so whether it changed is not known; an expression of an alert has a result only where it fires',
      `after: from ${both(low)} to ${both(high)}, last ${both(last)}`,
      `query: ${candidate.query}`,
    ].join('\n'),
    data: { query: candidate.query, labels, low, high, last },
  };
}

const short = (value: number): string => String(Number(value.toPrecision(4)));
