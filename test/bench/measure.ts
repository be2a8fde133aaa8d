import { quantile } from 'simple-statistics';

/** One line of the result; `ratio` is p50 / baselineP50, both measured in the same run, interleaved. */
export interface Result {
  suite: string;
  name: string;
  unit: 'ms';
  p50: number;
  p95: number;
  n: number;
  baseline: string;
  baselineP50: number;
  ratio: number;
}

/** Does the thing once and returns how many milliseconds it took, by its own clock where that is finer. */
export type Sample = () => Promise<number>;

export const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return performance.now() - started;
};

/**
 * `n` samples of each, in turn (ours, baseline, baseline, ours, …), after `warmup` uncounted pairs, so that a machine
 * that slows down slows both.
 */
export async function compare(options: {
  suite: string;
  name: string;
  baseline: string;
  n: number;
  warmup?: number;
  ours: Sample;
  theirs: Sample;
}): Promise<Result> {
  const { suite, name, baseline, n, warmup = 2, ours, theirs } = options;
  const samples: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
  for (let i = -warmup; i < n; i += 1) {
    const order = i % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
    for (const which of order) {
      const ms = await (which === 'ours' ? ours() : theirs());
      if (i >= 0) samples[which].push(ms);
    }
    progress(`${suite}/${name}: ${Math.max(0, i + 1)} of ${n} `);
  }
  progress('');
  return resultOf({ suite, name, baseline, ...samples });
}

/** A line that the next one replaces, where somebody looks at it. */
export function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

/** Samples in milliseconds as a line of the result. */
export function resultOf(measured: {
  suite: string;
  name: string;
  baseline: string;
  ours: readonly number[];
  theirs: readonly number[];
}): Result {
  const { suite, name, baseline, ours, theirs } = measured;
  const p50 = quantile([...ours], 0.5);
  const baselineP50 = quantile([...theirs], 0.5);
  return {
    suite,
    name,
    unit: 'ms',
    p50: round(p50),
    p95: round(quantile([...ours], 0.95)),
    n: ours.length,
    baseline,
    baselineP50: round(baselineP50),
    ratio: round(p50 / baselineP50),
  };
}

const round = (value: number): number => Number(value.toPrecision(4));

/** Fixed columns, numbers right-aligned. */
export function table(results: readonly Result[]): string {
  const head = ['suite', 'name', 'p50', 'p95', 'unit', 'n', 'baseline', 'its p50', 'ratio'];
  const rows = results.map((r) =>
    [r.suite, r.name, r.p50, r.p95, r.unit, r.n, r.baseline, r.baselineP50, `${r.ratio}×`].map(String),
  );
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) =>
        /^[\d.×]+$/.test(cell) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}
