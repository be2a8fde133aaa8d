import { createHash } from 'node:crypto';
import type { Point } from '#adapters/queries/metrics-source.ts';
import type { Change, Ensemble, EnsembleState } from '#observability/detectors/ensemble.ts';
import type { FindingEvent } from '../events.ts';
import { type SeriesSpec, spellValue } from './series.ts';

/** Points drawn before an anomaly began, and at most in all. */
const LEAD_STEPS = 120;
const MOST_POINTS = 600;

/** What is told of a change; its picture is added where it is kept. */
export function findingOf({
  environment,
  spec,
  query,
  change: { opened, ...change },
}: {
  environment: { id: string; host: string };
  spec: SeriesSpec;
  query: string;
  change: Change;
}): FindingEvent {
  return {
    fingerprint: fingerprintOf(environment.id, spec.name),
    status: change.kind === 'opened' ? 'firing' : 'resolved',
    environmentId: environment.id,
    title: `${environment.host}: ${spec.title} is ${opened.side > 0 ? 'higher' : 'lower'} than usual`,
    query,
    labels: { app: environment.host, series: spec.name },
    startsAt: new Date(opened.since).toISOString(),
    endsAt: 'endedAt' in change ? new Date(change.endedAt).toISOString() : null,
    value: opened.value,
    // None of these can be less than nothing.
    low: opened.low !== null && opened.low > 0 ? opened.low : null,
    high: opened.high,
    score: opened.score,
    scrapes: opened.points,
    imageId: null,
  };
}

const fingerprintOf = (environmentId: string, series: string): string =>
  createHash('sha256').update(`${environmentId}/${series}`).digest('hex').slice(0, 16);

/** A finding as a PNG: the anomaly and what was before it. */
export async function drawFinding({
  finding,
  spec,
  ensemble,
  state,
  history,
  stepMs,
  now,
  read,
}: {
  finding: FindingEvent;
  spec: SeriesSpec;
  ensemble: Ensemble;
  state: EnsembleState;
  history: readonly Point[];
  stepMs: number;
  /** The newest point. */
  now: number;
  read: (from: number, to: number, stepMs: number) => Promise<Point[]>;
}): Promise<Uint8Array | undefined> {
  const since = Date.parse(finding.startsAt);
  const span = now - since + LEAD_STEPS * stepMs;
  const step = Math.ceil(span / stepMs / MOST_POINTS) * stepMs;
  const points = await read(now - Math.floor(span / step) * step, now, step);
  if (points.length === 0) return undefined;
  const { plot } = await import('#observability/plot.ts');
  return plot({
    title: finding.title,
    subtitle: subtitleOf(finding, spec),
    unit: spec.unit,
    points,
    band: ensemble.judge(state, history, points),
    window: { from: since, to: finding.endsAt === null ? undefined : Date.parse(finding.endsAt) },
    stepMs: step,
  });
}

function subtitleOf({ value, low, high, startsAt, endsAt }: FindingEvent, { unit }: SeriesSpec): string {
  const time = (at: string) => at.slice(11, 19);
  const usual = [
    ...(low === null ? [] : [`at least ${spellValue(low, unit)}`]),
    ...(high === null ? [] : [`at most ${spellValue(high, unit)}`]),
  ];
  const when = endsAt === null ? `since ${time(startsAt)}` : `${time(startsAt)} to ${time(endsAt)}`;
  return `${spellValue(value, unit)}, usually ${usual.join(' and ') || 'more than nothing'} · ${when} UTC`;
}
