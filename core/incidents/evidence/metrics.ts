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
            (series) => changeOf(series, candidate, scene),
          );
        } catch (error) {
          // An alert's own link need not hold a query of this server.
          if (error instanceof MetricsError && error.code === 'bad_query') return [];
          throw error;
        }
      }),
    );
    return read
      .flat()
      .filter(({ change }) => change.score >= LEAST_SCORE)
      .toSorted((a, b) => b.change.score - a.change.score)
      .slice(0, MAX_PIECES)
      .map(pieceOf);
  },
});

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

interface Changed {
  candidate: Candidate;
  labels: Series['labels'];
  change: Change;
}

function changeOf({ labels, points }: Series, candidate: Candidate, { onset }: Scene): Changed[] {
  const finite = points.filter(({ v }) => Number.isFinite(v));
  const values = (after: boolean) =>
    finite.filter(({ t }) => t >= onset.getTime() === after).map(({ v }) => v);
  const after = values(true);
  // A series that begins with the fault, failures of a route for instance, was nothing before.
  const before = finite.length === after.length ? after.map(() => 0).concat(0, 0, 0, 0) : values(false);
  const change = robustScore(before, after, candidate.leastSpread);
  return change ? [{ candidate, labels, change }] : [];
}

function pieceOf({ candidate, labels, change }: Changed): Piece {
  const { title, query, unit } = candidate;
  const where = Object.entries(labels)
    .filter(([name]) => name !== 'app')
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
  const name = where === '' ? title : `${title} (${where})`;
  const spell = (v: number) => (unit ? spellValue(v, unit) : short(v));
  const both = (v: number) => (unit ? `${spellValue(v, unit)} (${short(v)})` : short(v));
  return {
    kind: 'metric',
    title: `${name}: ${spell(change.median)} before, ${spell(change.extreme)} after`,
    text: [
      name,
      `before: median ${both(change.median)}, the middle half from ${both(change.low)} to ${both(change.high)}`,
      `after: farthest from it ${both(change.extreme)}, last ${both(change.last)}`,
      `changed by ${short(change.score)} interquartile ranges`,
      `query: ${query}`,
    ].join('\n'),
    data: { query, labels, ...change },
  };
}

const short = (value: number): string => String(Number(value.toPrecision(4)));
