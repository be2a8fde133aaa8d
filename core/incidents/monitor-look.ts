import type { MetricsSource, Point } from '#adapters/queries/metrics-source.ts';
import { MetricsError } from '#adapters/queries/metrics-source.ts';
import { createEnsemble, type Ensemble, type EnsembleState } from '#observability/detectors/ensemble.ts';
import { detectors } from '#observability/detectors/index.ts';
import type { Logger } from '#observability/log.ts';
import type { FindingEvent } from '../events.ts';
import { drawFinding, findingOf } from './monitor-finding.ts';
import { queryFor, type SeriesSpec, TRAFFIC, WINDOW_STEPS } from './series.ts';

/** Points a band is made of. */
export const LEARN_STEPS = 240;
/** Read for them, since some are left out: what was anomalous, or of too little traffic. */
const READ_STEPS = 2 * LEARN_STEPS;
/** Of one answer. */
const MOST_STEPS = 10_000;
/** After a release became live: it warms up, and rates still hold its first moments. */
const SETTLE_STEPS = WINDOW_STEPS + 4;

const DAY_MS = 86_400_000;
const SEASON_DAYS = 14;
/** Within the 11,000 points of one answer, and four in each slot. */
const SEASON_STEP_MS = 300_000;
/** What the season says of now is at least a day old, so it may be some hours more. */
const SEASON_KEPT_MS = 6 * 3_600_000;

/** Whose series are looked at. */
export interface Watched {
  id: string;
  host: string;
  liveAt: Date | null;
}

export interface Looked {
  spec: SeriesSpec;
  state: EnsembleState;
  findings: { finding: FindingEvent; png: Uint8Array | undefined }[];
}

/** One look at the series of an environment: what is new is judged by what was before. */
export type Look = (
  environment: Watched,
  series: readonly SeriesSpec[],
  states: ReadonlyMap<string, EnsembleState>,
  now: number,
  signal: AbortSignal,
) => Promise<Looked[]>;

/** The detectors of one kind of series; `season` is what was measured on the days before, at a wider step. */
export const ensembleFor = (
  { floor, side }: Pick<SeriesSpec, 'floor' | 'side'>,
  stepMs: number,
  season: readonly Point[] = [],
): Ensemble =>
  createEnsemble({
    detectors: [
      { detector: detectors['robust-z-score']({ floor, window: LEARN_STEPS }), weight: 1 },
      { detector: detectors.seasonal({ floor }), weight: 1, past: season },
    ],
    side,
    stepMs,
  });

export function createLook({
  source,
  stepMs,
  log,
}: {
  source: MetricsSource;
  stepMs: number;
  log: Logger;
}): Look {
  /** By query. Lost with the process, which reads them again. */
  const seasons = new Map<string, { until: number; points: Point[] }>();

  const read = async (query: string, from: number, to: number, step: number, signal: AbortSignal) => {
    const [series] = await source.range(
      { query, from: new Date(from), to: new Date(to), stepMs: step },
      signal,
    );
    return series?.points ?? [];
  };

  /** The last two weeks; without them the bands are those of the last hour. */
  async function season(query: string, now: number, signal: AbortSignal): Promise<readonly Point[]> {
    for (const [key, { until }] of seasons) if (until <= now) seasons.delete(key);
    const known = seasons.get(query);
    if (known) return known.points;
    const to = Math.floor(now / SEASON_STEP_MS) * SEASON_STEP_MS;
    try {
      const points = await read(query, to - SEASON_DAYS * DAY_MS, to, SEASON_STEP_MS, signal);
      seasons.set(query, { until: now + SEASON_KEPT_MS, points });
      return points;
    } catch (error) {
      if (!(error instanceof MetricsError)) throw error;
      log.warn({ query, error: error.message }, 'the last two weeks of a series could not be read');
      // Asked again soon: the daily rush must not look like a fault for hours.
      seasons.set(query, { until: now + SEASON_STEP_MS, points: [] });
      return [];
    }
  }

  return async (environment, series, states, now, signal) => {
    // What is scraped at this moment is there by the next.
    const to = Math.floor(now / stepMs) * stepMs - stepMs;
    const settled = (environment.liveAt?.getTime() ?? 0) + SETTLE_STEPS * stepMs;
    /** Requests in the window, once for all series that ask for the same stretch. */
    const traffics = new Map<string, Promise<Map<number, number>>>();
    const traffic = (from: number, until: number): Promise<Map<number, number>> => {
      const key = `${from} ${until}`;
      const asked =
        traffics.get(key) ??
        read(queryFor(TRAFFIC, environment.host, stepMs), from, until, stepMs, signal).then(
          (points) => new Map(points.map(({ t, v }) => [t, v])),
        );
      traffics.set(key, asked);
      return asked;
    };

    async function one(spec: SeriesSpec): Promise<Looked | undefined> {
      const query = queryFor(spec.query, environment.host, stepMs);
      const ensemble = ensembleFor(spec, stepMs, await season(query, now, signal));
      const before = states.get(spec.name);
      const judged = async (from: number, until: number): Promise<Point[]> => {
        const points = await read(query, from, until, stepMs, signal);
        if (spec.minRequests === 0 || points.length === 0) return points;
        const requests = await traffic(from, until);
        return points.filter(({ t }) => (requests.get(t) ?? 0) >= spec.minRequests);
      };

      // The first look learns; a look after a pause catches up, but not on more than it can learn from.
      const since = Math.max(before?.last ?? to - stepMs, to - LEARN_STEPS * stepMs);
      if (since >= to) return undefined;
      const learn = ensemble.learnFrom(before, since, READ_STEPS);
      const from = Math.max(learn.from, learn.to - MOST_STEPS * stepMs);
      // While an anomaly is open, what was before it; it may be long ago.
      const apart = learn.to < since;
      const history = await judged(from, apart ? learn.to - stepMs : to);
      const recent = apart ? await judged(since + stepMs, to) : history;
      const fresh = recent.filter(({ t }) => t > since && t >= settled);
      if (fresh.length === 0) return undefined;
      const { state, changes } = ensemble.advance(before, history, fresh);
      const findings: Looked['findings'] = [];
      for (const change of changes) {
        const finding = findingOf({ environment, spec, query, change });
        if (finding.status === 'resolved') {
          // The card keeps the picture of how it began.
          findings.push({ finding, png: undefined });
          continue;
        }
        const png = await drawFinding({
          finding,
          spec,
          ensemble,
          // As it was when the change was decided: an anomaly that is open is judged by what was before it.
          state: { ...state, open: change.opened },
          history,
          stepMs,
          now: to,
          read: (from, until, step) => read(query, from, until, step, signal),
        }).catch((error: unknown) => {
          signal.throwIfAborted();
          log.warn({ finding: finding.title, error: String(error) }, 'a finding could not be drawn');
          return undefined;
        });
        findings.push({ finding, png });
      }
      return { spec, state, findings };
    }

    const looked: Looked[] = [];
    // One after the other: Prometheus is shared with people.
    for (const spec of series) {
      const result = await one(spec);
      if (result) looked.push(result);
    }
    return looked;
  };
}
