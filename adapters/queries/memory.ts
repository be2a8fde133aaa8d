import { MetricsError, type MetricsSource, type Point, type Series } from './metrics-source.ts';

/** As in Prometheus: a value counts for five minutes, unless a newer one comes. */
const LOOKBACK_MS = 300_000;
const MAX_POINTS = 11_000;

/** What was measured, by query: of PromQL it knows that the exact text names the series. The map may grow. */
export function createMemoryMetrics(data: ReadonlyMap<string, readonly Series[]>): MetricsSource {
  const find = (query: string, signal: AbortSignal | undefined): readonly Series[] => {
    signal?.throwIfAborted();
    if (!isBalanced(query)) throw new MetricsError('bad_query', `This cannot be parsed: ${query}`);
    return data.get(query) ?? [];
  };

  return {
    name: 'memory',
    async range({ query, from, to, stepMs }, signal) {
      const count = Math.floor((to.getTime() - from.getTime()) / stepMs) + 1;
      if (count > MAX_POINTS) throw new MetricsError('too_large', `The range has ${count} points.`);
      const times = Array.from({ length: Math.max(0, count) }, (_, i) => from.getTime() + i * stepMs);
      return find(query, signal).flatMap(({ labels, points }) => measured(labels, sampled(points, times)));
    },
    async instant(query, signal) {
      return find(query, signal).flatMap(({ labels, points }) =>
        measured(labels, sampled(points, [Date.now()])),
      );
    },
  };
}

const measured = (labels: Series['labels'], points: Point[]): Series[] =>
  points.length > 0 ? [{ labels, points }] : [];

/** At each time the newest value before it; `points` and `times` oldest first. */
function sampled(points: readonly Point[], times: readonly number[]): Point[] {
  let next = 0;
  return times.flatMap((t) => {
    for (let point = points[next]; point && point.t <= t; point = points[next]) next += 1;
    const newest = points[next - 1];
    if (!newest || newest.t <= t - LOOKBACK_MS || !Number.isFinite(newest.v)) return [];
    return [{ t, v: newest.v }];
  });
}

function isBalanced(query: string): boolean {
  const open: string[] = [];
  const closers: Record<string, string> = { '{': '}', '(': ')', '[': ']' };
  for (const character of query) {
    const closer = closers[character];
    if (closer) open.push(closer);
    else if ('})]'.includes(character) && open.pop() !== character) return false;
  }
  return query.trim() !== '' && open.length === 0;
}
