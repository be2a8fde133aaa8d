import type { Selectable } from 'kysely';
import type { MetricsSource, Series } from '#adapters/queries/metrics-source.ts';
import { digestOf } from '../approvals/approvals.ts';
import { findingEvent } from '../events.ts';
import { queryFor } from './series.ts';
import type { SignalTable, WatchedSeries } from './tables.ts';
import { isInside } from './watch-verdict.ts';

type Signal = Selectable<SignalTable>;

/** Each costs a query at each look; an app chooses its labels, and so how many alerts it has. */
const MOST = 30;

/** What is to be watched after a fix: the series the signals were about, each once, the first ones if there are many. */
export function watchedSeries(signals: readonly Signal[], hasMetrics: boolean): WatchedSeries[] {
  const all = signals.map((signal) => seriesOf(signal, hasMetrics));
  const key = ({ kind, query, labels, signalId }: WatchedSeries) =>
    kind === 'signal' ? signalId : digestOf([kind, query, labels]);
  return [...new Map(all.map((series) => [key(series), series])).values()].slice(0, MOST);
}

function seriesOf(signal: Signal, hasMetrics: boolean): WatchedSeries {
  const { id: signalId, title, query, labels } = signal;
  const common = { signalId, title, labels, low: null, high: null };
  const finding = signal.kind === 'finding' ? findingEvent.safeParse(signal.payload).data : undefined;
  if (hasMetrics && finding)
    return { ...common, kind: 'band', query: finding.query, low: finding.low, high: finding.high };
  // Without the app's name nothing tells an expression that is empty from one that nothing is measured for.
  if (hasMetrics && query && labels.app) return { ...common, kind: 'expression', query };
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
  const read = (query: string) =>
    source.range({ query, from: new Date(first), to: new Date(last), stepMs }, signal);
  const app = watched.kind === 'expression' ? watched.labels.app : undefined;
  const [found, measuredAtAll] = await Promise.all([
    read(watched.query),
    app === undefined ? [] : read(seriesOfApp(app)),
  ]);
  const at = (series: readonly Series[], time: number) =>
    series.flatMap(({ points }) => nearest(points, time, stepMs)?.v ?? []);
  const own = found.filter((series) => belongs(series, watched.labels));
  return times.map((time) => {
    const values = at(own, time);
    // An alert's expression has a result only where it fires; but also none of what nobody measures.
    if (watched.kind === 'expression') {
      const [value = null] = values;
      return { value, inside: value !== null ? false : at(measuredAtAll, time).length > 0 ? true : null };
    }
    const measured = values.filter((value) => !Number.isNaN(value));
    const outside = measured.find((value) => !isInside(watched, value));
    const [value = null] = outside === undefined ? measured : [outside];
    return { value, inside: value === null ? null : outside === undefined };
  });
}

/**
 * How many series there are of an app. Those that Prometheus makes itself of a scrape are not counted, as they are there
 * too when the app does not answer: https://prometheus.io/docs/concepts/jobs_instances/
 */
export const seriesOfApp = (app: string): string =>
  queryFor('count({app="$app",__name__!~"up|scrape_.*|ALERTS.*"})', app, 0);

/** What a deployment does not change; `instance` for one is another after it. */
const LASTING = ['app', 'environment'];

/** The signal's labels say which of the query's series it is; labels that only one of the two has do not matter. */
const belongs = ({ labels: of }: Series, labels: Readonly<Record<string, string>>): boolean =>
  LASTING.every((name) => of[name] === undefined || labels[name] === undefined || of[name] === labels[name]);

/** Sources may answer on a grid of their own: half a step to either side is this look's. */
const nearest = (points: Series['points'], time: number, stepMs: number) =>
  points.find(({ t }) => Math.abs(t - time) <= stepMs / 2);
