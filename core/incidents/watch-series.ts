import type { Selectable } from 'kysely';
import type { MetricsSource, Series } from '#adapters/queries/metrics-source.ts';
import { digestOf } from '../approvals/approvals.ts';
import { findingEvent } from '../events.ts';
import type { SignalTable, WatchedSeries } from './tables.ts';
import { isInside } from './watch-verdict.ts';

type Signal = Selectable<SignalTable>;

/** What is to be watched after a fix: the series the signals were about, each once. */
export function watchedSeries(signals: readonly Signal[], hasMetrics: boolean): WatchedSeries[] {
  const all = signals.map((signal) => seriesOf(signal, hasMetrics));
  const key = ({ kind, query, labels, signalId }: WatchedSeries) =>
    kind === 'signal' ? signalId : digestOf([kind, query, labels]);
  return [...new Map(all.map((series) => [key(series), series])).values()];
}

function seriesOf(signal: Signal, hasMetrics: boolean): WatchedSeries {
  const { id: signalId, title, query, labels } = signal;
  const common = { signalId, title, labels, low: null, high: null };
  const finding = signal.kind === 'finding' ? findingEvent.safeParse(signal.payload).data : undefined;
  if (hasMetrics && finding)
    return { ...common, kind: 'band', query: finding.query, low: finding.low, high: finding.high };
  if (hasMetrics && query !== null && query !== '') return { ...common, kind: 'expression', query };
  return { ...common, kind: 'signal', query: null };
}

export interface Look {
  value: number | null;
  /** null: nothing was measured. */
  inside: boolean | null;
}

/** How a series was at each of `times` (evenly spaced, milliseconds since the epoch). Throws MetricsError. */
export async function lookAtSeries(
  source: MetricsSource,
  watched: WatchedSeries & { query: string },
  times: readonly number[],
  stepMs: number,
  signal: AbortSignal,
): Promise<Look[]> {
  const [first] = times;
  const last = times.at(-1);
  if (first === undefined || last === undefined) return [];
  const found = await source.range(
    { query: watched.query, from: new Date(first), to: new Date(last), stepMs },
    signal,
  );
  const own = found.filter((series) => belongs(series, watched.labels));
  return times.map((time) => {
    const values = own.flatMap(({ points }) => nearest(points, time, stepMs)?.v ?? []);
    // An alert's expression has a result where, and only where, it fires.
    if (watched.kind === 'expression') return { value: values.at(0) ?? null, inside: values.length === 0 };
    const measured = values.filter((value) => !Number.isNaN(value));
    const outside = measured.find((value) => !isInside(watched, value));
    const [value = null] = outside === undefined ? measured : [outside];
    return { value, inside: value === null ? null : outside === undefined };
  });
}

/** The signal's labels say which of the query's series it is; labels that only one of the two has do not matter. */
const belongs = (series: Series, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(series.labels).every(
    ([name, value]) => labels[name] === undefined || labels[name] === value,
  );

/** Sources may answer on a grid of their own: half a step to either side is this look's. */
const nearest = (points: Series['points'], time: number, stepMs: number) =>
  points.find(({ t }) => Math.abs(t - time) <= stepMs / 2);
