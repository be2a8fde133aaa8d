import type { Floor } from '#observability/detectors/detector.ts';

/** What is looked at in every environment, and what of it would matter. */
export interface SeriesSpec {
  /** Stable: fingerprints are made of it. */
  name: string;
  title: string;
  unit: Unit;
  /** PromQL with `$app` (the environment's `app` label) and `$window` (of a rate). Answers one series. */
  query: string;
  side: 'above' | 'below' | 'both';
  /** Changes below this do not matter, however unusual. */
  floor: Floor;
  /** Not judged where fewer requests than this were in the window: a ratio of few is chance. */
  minRequests: number;
}

export type Unit = 's' | 'bytes' | 'ratio' | 'req/s' | 'cores';

/** A rate's window: as Prometheus recommends, four scrapes, so that one that was missed leaves enough. */
export const WINDOW_STEPS = 4;

/** People's requests, not ours. */
const OURS = 'app="$app",route!~"/metrics|/health"';

/** Requests in the window. */
export const TRAFFIC = `sum(increase(http_requests_total{${OURS}}[$window]))`;

const latency = (quantile: number) =>
  `histogram_quantile(${quantile}, sum by (le) (rate(http_request_duration_seconds_bucket{${OURS}}[$window])))`;

/**
 * The golden signals (https://sre.google/sre-book/monitoring-distributed-systems/#xref_monitoring_golden-signals) of an
 * app that has the metrics of Prometheus' client libraries. What an app does not have is not looked at. Everything that
 * counts is read as a rate, so that a restart, which begins to count anew, is nothing unusual; while two instances run,
 * of their saturation the greater holds.
 */
export const SERIES: readonly SeriesSpec[] = [
  {
    name: 'request_rate',
    title: 'request rate',
    unit: 'req/s',
    query: `sum(rate(http_requests_total{${OURS}}[$window]))`,
    // More people are no fault; if it is one, it shows in the other series.
    side: 'below',
    floor: { relative: 0.6, absolute: 1 },
    minRequests: 0,
  },
  {
    name: 'error_ratio',
    title: 'error ratio',
    unit: 'ratio',
    query: `(sum(rate(http_requests_total{${OURS},status=~"5.."}[$window])) or vector(0)) / sum(rate(http_requests_total{${OURS}}[$window]))`,
    side: 'above',
    floor: { relative: 0.5, absolute: 0.05 },
    minRequests: 20,
  },
  {
    name: 'latency_p50',
    title: 'latency p50',
    unit: 's',
    query: latency(0.5),
    side: 'above',
    floor: { relative: 0.5, absolute: 0.02 },
    minRequests: 10,
  },
  {
    name: 'latency_p95',
    title: 'latency p95',
    unit: 's',
    query: latency(0.95),
    side: 'above',
    floor: { relative: 0.75, absolute: 0.05 },
    minRequests: 20,
  },
  {
    name: 'memory',
    title: 'memory',
    unit: 'bytes',
    query: 'max(process_resident_memory_bytes{app="$app"})',
    side: 'above',
    floor: { relative: 0.5, absolute: 48 * 2 ** 20 },
    minRequests: 0,
  },
  {
    name: 'cpu',
    title: 'CPU',
    unit: 'cores',
    query: 'max(rate(process_cpu_seconds_total{app="$app"}[$window]))',
    side: 'above',
    floor: { relative: 0.5, absolute: 0.15 },
    minRequests: 0,
  },
  {
    name: 'event_loop_lag',
    title: 'event loop lag',
    unit: 's',
    // Of the longest delay in each scrape the median: one collection of garbage is no fault.
    query: 'max(quantile_over_time(0.5, nodejs_eventloop_lag_seconds{app="$app"}[$window]))',
    side: 'above',
    floor: { relative: 1, absolute: 0.1 },
    minRequests: 0,
  },
];

/** A spec's query for one environment; `app` is escaped as PromQL needs it, though a host's first label needs none. */
export function queryFor(query: string, app: string, stepMs: number): string {
  const label = app.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
  return query.replaceAll('$app', () => label).replaceAll('$window', `${WINDOW_STEPS * stepMs}ms`);
}

const numbers = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** For people: "157 ms", "8.3 %", "212 MiB". */
export function spellValue(v: number, unit: Unit): string {
  if (unit === 's') return v < 1 ? `${numbers.format(v * 1000)} ms` : `${numbers.format(v)} s`;
  if (unit === 'bytes') return `${numbers.format(v / 2 ** 20)} MiB`;
  if (unit === 'ratio') return `${numbers.format(v * 100)} %`;
  return `${numbers.format(v)} ${unit}`;
}
