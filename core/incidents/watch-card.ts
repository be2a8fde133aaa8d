import type { Selectable } from 'kysely';
import type { Card, PlanItem } from '../conversations/card.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import type { WatchedSeries, WatchSample, WatchTable } from './tables.ts';
import type { Outcome } from './watch-verdict.ts';

export interface WatchResult {
  outcome: Outcome;
  words: string;
  /** What becomes of it, or is to be done, where the outcome alone does not say. */
  next?: string | undefined;
  series: readonly WatchedSeries[];
  samples: readonly WatchSample[];
  stepMs: number;
  /** From the incident's beginning to now. */
  durationMs: number;
  environment: string;
  hasMetrics: boolean;
}

const MAX_SERIES = 12;

/** What came of the watch, with the values it rests on. */
export function watchCard(result: WatchResult): Card {
  const { outcome, words, series, environment } = result;
  const lines = series.slice(0, MAX_SERIES).map((each, index) => `- ${lineOf(each, index, result.samples)}`);
  const source = result.hasMetrics
    ? ''
    : ' There is no metrics source, so what counts is whether the senders say that their signals are over.';
  const next = result.next ?? NEXT[outcome](environment);
  return {
    ...headOf(outcome, result.durationMs),
    blocks: [
      {
        type: 'markdown',
        text: [`${words}${source}`, lines.join('\n'), next].filter((part) => part !== '').join('\n\n'),
      },
    ],
    actions: [],
    footer: `${result.samples.length} looks, one every ${Number((result.stepMs / 1000).toPrecision(3))} s`,
  };
}

function headOf(outcome: Outcome, durationMs: number): Pick<Card, 'title' | 'tone'> {
  if (outcome === 'recovered')
    return { title: `Recovered after ${durationWords(durationMs)}`, tone: 'success' };
  if (outcome === 'not_recovered') return { title: 'Not recovered', tone: 'danger' };
  return { title: 'Not known whether it recovered', tone: 'neutral' };
}

const NEXT: Readonly<Record<Outcome, (environment: string) => string>> = {
  recovered: () => '',
  not_recovered: (environment) =>
    `\`rollback ${environment}\` brings back the release before; "Try a fix" on the incident's card begins anew.`,
  unknown: () =>
    'The incident stays open until its signals are over. Look whether the app is measured and asked for anything; no rollback is called for by this alone.',
};

function lineOf(series: WatchedSeries, index: number, samples: readonly WatchSample[]): string {
  const name = `**${oneLine(series.title, 100)}**`;
  const last = samples.findLast(({ inside }) => inside[index] !== null && inside[index] !== undefined);
  if (!last) return `${name}: no data`;
  const inside = last.inside[index];
  if (series.kind === 'signal') return `${name}: ${inside ? 'over' : 'still reported'}`;
  const value = last.values[index];
  if (series.kind === 'expression')
    return `${name}: ${inside ? 'its condition does not hold any more' : `its condition still holds (${short(value)})`}`;
  return `${name}: last ${short(value)}, expected ${bandOf(series)}`;
}

/** The live line on the incident's card. */
export function watchItem(
  watch: Pick<Selectable<WatchTable>, 'state' | 'until' | 'samples' | 'result'>,
): PlanItem {
  const { samples, state, until, result } = watch;
  if (state === 'recovered')
    return { text: 'The series are back where they belong', state: 'done', detail: result ?? undefined };
  // Also where that is not known: the detail says which.
  if (state === 'not_recovered')
    return {
      text: 'The watch ended without a recovery',
      state: 'failed',
      detail: result ?? undefined,
    };
  const inside = samples.filter((sample) => sample.inside.every((each) => each === true)).length;
  return {
    text: `Watching the same series until ${until.toISOString().slice(11, 19)} UTC`,
    state: 'running',
    detail: `${inside} of ${samples.length} looks inside`,
  };
}

const bandOf = ({ low, high }: WatchedSeries): string => {
  if (low === null) return high === null ? 'anything' : `at most ${short(high)}`;
  return high === null ? `at least ${short(low)}` : `${short(low)} to ${short(high)}`;
};

const short = (value: number | null | undefined): string =>
  value === null || value === undefined ? 'unknown' : String(Number(value.toPrecision(4)));

export function durationWords(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
