import type { Selectable } from 'kysely';
import type { Card, PlanItem } from '../conversations/card.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import type { WatchedSeries, WatchSample, WatchTable } from './tables.ts';

export interface WatchResult {
  recovered: boolean;
  words: string;
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
  const { recovered, words, series, environment } = result;
  const lines = series.slice(0, MAX_SERIES).map((each, index) => `- ${lineOf(each, index, result.samples)}`);
  const source = result.hasMetrics
    ? ''
    : ' There is no metrics source, so what counts is whether the senders say that their signals are over.';
  const next = recovered
    ? ''
    : `\n\n\`rollback ${environment}\` brings back the release before; "Try a fix" on the incident's card begins anew.`;
  return {
    title: recovered ? `Recovered after ${durationWords(result.durationMs)}` : 'Not recovered',
    tone: recovered ? 'success' : 'danger',
    blocks: [{ type: 'markdown', text: `${words}${source}\n\n${lines.join('\n')}${next}` }],
    actions: [],
    footer: `${result.samples.length} looks, one every ${Number((result.stepMs / 1000).toPrecision(3))} s`,
  };
}

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
  if (state === 'not_recovered')
    return {
      text: 'The series are not back where they belong',
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
