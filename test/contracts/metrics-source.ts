import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MetricsError, type MetricsSource } from '#adapters/queries/metrics-source.ts';

export interface MetricsSourceHarness extends AsyncDisposable {
  readonly source: MetricsSource;
}

const STEP_MS = 15_000;
const MINUTE_MS = 60_000;

/** What a source under test must know: oldest first, of `end` and the ten minutes before. */
export interface KnownSeries {
  name: string;
  labels: Record<string, string>;
  points: { t: number; v: number }[];
}

/** Aligned to the step, a little in the past. */
export const end = Math.floor((Date.now() - 2 * MINUTE_MS) / STEP_MS) * STEP_MS;
const start = end - 10 * MINUTE_MS;
const times = Array.from({ length: 41 }, (_, i) => start + i * STEP_MS);

export const known: readonly KnownSeries[] = [
  { name: 'ramp', labels: { app: 'shop' }, points: times.map((t, i) => ({ t, v: i / 4 })) },
  ...['a', 'b'].map((instance, k) => ({
    name: 'twins',
    labels: { app: 'shop', instance },
    points: times.map((t) => ({ t, v: k + 1 })),
  })),
  {
    name: 'holes',
    labels: {},
    points: times.map((t, i) => ({
      t,
      v: i % 4 === 1 ? Number.NaN : i % 4 === 2 ? Number.POSITIVE_INFINITY : i,
    })),
  },
];

/** What every metrics source does. */
export function metricsSourceContract(
  name: string,
  setup: (series: readonly KnownSeries[]) => Promise<MetricsSourceHarness>,
): void {
  describe(`${name} as a metrics source`, () => {
    let harness: MetricsSourceHarness;
    let source: MetricsSource;
    beforeAll(async () => {
      harness = await setup(known);
      source = harness.source;
    });
    afterAll(async () => {
      await harness?.[Symbol.asyncDispose]();
    });

    const range = (query: string, from = start, to = end, stepMs = STEP_MS) =>
      source.range({ query, from: new Date(from), to: new Date(to), stepMs });
    const codeOf = (work: Promise<unknown>) =>
      work.then(
        () => undefined,
        (error: unknown) => {
          if (!(error instanceof MetricsError)) throw error;
          expect(error.message).toMatch(/\w+ .+/);
          return error.code;
        },
      );

    it('reads a series as it was measured, oldest first', async () => {
      expect(await range('ramp')).toEqual([{ labels: { app: 'shop' }, points: known[0]?.points }]);
    });

    it('reads at a wider step', async () => {
      const [series] = await range('ramp', start, end, MINUTE_MS);
      expect(series?.points).toEqual(
        Array.from({ length: 11 }, (_, i) => ({ t: start + i * MINUTE_MS, v: i })),
      );
    });

    it('tells series of one query apart by their labels', async () => {
      const series = await range('twins');
      expect(series.map(({ labels }) => labels.instance).toSorted()).toEqual(['a', 'b']);
      expect(series.every(({ labels }) => !('__name__' in labels))).toBe(true);
      expect(series.map(({ points }) => points.length)).toEqual([41, 41]);
    });

    it('leaves out what is no number', async () => {
      const [series] = await range('holes');
      expect(series?.points.map(({ v }) => v)).toEqual(
        times.flatMap((_, i) => (i % 4 === 0 || i % 4 === 3 ? [i] : [])),
      );
    });

    it('reads the newest value', async () => {
      const [series, ...others] = await source.instant('ramp');
      expect(others).toEqual([]);
      expect(series?.labels).toEqual({ app: 'shop' });
      expect(series?.points.map(({ v }) => v)).toEqual([10]);
    });

    it('has nothing to say of what was never measured, or not then', async () => {
      expect(await range('nothing_of_the_kind')).toEqual([]);
      expect(await source.instant('nothing_of_the_kind')).toEqual([]);
      expect(await range('ramp', start - 120 * MINUTE_MS, start - 60 * MINUTE_MS)).toEqual([]);
    });

    it('refuses what it cannot parse', async () => {
      expect(await codeOf(range('sum(ramp'))).toBe('bad_query');
      expect(await codeOf(source.instant('ramp{'))).toBe('bad_query');
      expect(await codeOf(source.instant(''))).toBe('bad_query');
    });

    it('refuses a range of more points than Prometheus answers, and takes one of just as many', async () => {
      expect(await codeOf(range('ramp', end - 11_000 * 1000, end, 1000))).toBe('too_large');
      expect(await codeOf(range('ramp', end - 10_999 * 1000, end, 1000))).toBeUndefined();
    });

    it('stops when it is told to', async () => {
      const query = { query: 'ramp', from: new Date(start), to: new Date(end), stepMs: STEP_MS };
      const reason = new Error('enough');
      await expect(source.range(query, AbortSignal.abort(reason))).rejects.toBe(reason);
      await expect(source.instant('ramp', AbortSignal.abort(reason))).rejects.toBe(reason);
    });
  });
}
