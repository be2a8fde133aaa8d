import { describe, expect, it } from 'vitest';
import type { Point } from '#observability/detectors/detector.ts';
import { detectors } from '#observability/detectors/index.ts';
import { createRobustZScore } from '#observability/detectors/robust-z-score.ts';
import { createSeasonal } from '#observability/detectors/seasonal.ts';
import { detectorContract } from '../../contracts/detector.ts';
import { createRandom } from './random.ts';

for (const [name, create] of Object.entries(detectors)) detectorContract(name, create);

const NONE = { relative: 0, absolute: 0 };

describe('the robust z-score', () => {
  it('is the distance in 1.4826 median absolute deviations, five to the edge', () => {
    const history = [1, 2, 3, 4, 5, 6, 7].map((v, t) => ({ t, v }));
    const [one] = createRobustZScore({ floor: NONE, atLeast: 7 }).judge(history, [{ t: 7, v: 4 }]);
    expect(one?.band.expected).toBe(4);
    expect(one?.band.high).toBeCloseTo(4 + 5 * 1.4826 * 2);
    expect(one?.band.low).toBeCloseTo(4 - 5 * 1.4826 * 2);
  });

  it('looks at the newest points only', () => {
    const history = Array.from({ length: 200 }, (_, t) => ({ t, v: t < 100 ? 1000 : 1 }));
    const judge = (window: number) =>
      createRobustZScore({ floor: NONE, window }).judge(history, [{ t: 200, v: 1 }])[0]?.band.expected;
    expect(judge(100)).toBe(1);
    expect(judge(240)).toBe(500.5);
  });
});

describe('the season', () => {
  // A day of an hour, looked at each minute.
  const MINUTE = 60_000;
  const HOUR = 60 * MINUTE;
  const options = { periodMs: HOUR, slotMs: 3 * MINUTE, periods: 10, floor: NONE };
  const rush = (t: number) => (t % HOUR < 10 * MINUTE ? 500 : 100);
  const history = (hours: number, seed: number): Point[] => {
    const random = createRandom(seed);
    return Array.from({ length: hours * 60 }, (_, i) => ({
      t: i * MINUTE,
      v: rush(i * MINUTE) * (1 + 0.05 * random.normal()),
    }));
  };
  const scores = (hours: number, at: number, ...values: number[]) =>
    values.map(
      (v) => createSeasonal(options).judge(history(hours, 1), [{ t: hours * HOUR + at, v }])[0]?.score,
    );

  it('expects the rush when it always comes, and wonders about it at another time', () => {
    const [rushed = 1, quiet = 0] = scores(8, 5 * MINUTE, 500, 100);
    expect(rushed).toBeLessThan(0.4);
    expect(quiet).toBeGreaterThan(0.9);
    const [late = 0, usual = 1] = scores(8, 30 * MINUTE, 500, 100);
    expect(late).toBeGreaterThan(0.9);
    expect(usual).toBeLessThan(0.4);
  });

  it('waits for three periods', () => {
    expect(scores(2, 5 * MINUTE, 500)).toEqual([undefined]);
    expect(scores(3, 5 * MINUTE, 500)[0]).toBeDefined();
  });

  it('follows a change of habits', () => {
    const moved = [...history(6, 2), ...history(3, 3).map(({ t, v }) => ({ t: t + 6 * HOUR, v: v * 4 }))];
    const [one] = createSeasonal({ ...options, decay: 0.6 }).judge(moved, [
      { t: 9 * HOUR + 30 * MINUTE, v: 400 },
    ]);
    expect(one?.band.expected).toBeGreaterThan(300);
  });
});
