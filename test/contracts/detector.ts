import { describe, expect, it } from 'vitest';
import { type Detector, type Floor, type Point, scoreOf } from '#observability/detectors/detector.ts';
import { createRandom } from '#test/observability/detectors/random.ts';

const STEP_MS = 15_000;
const DAY_MS = 86_400_000;

/** What every detector does, made with a floor; each can judge a point after five days of history. */
export function detectorContract(name: string, create: (options: { floor: Floor }) => Detector): void {
  describe(`${name} as a detector`, () => {
    const none = { relative: 0, absolute: 0 };
    const now = Date.UTC(2026, 9, 6, 12);
    /** Around this time of day, on five days and now. */
    const history = (value: (i: number) => number): Point[] =>
      [5, 4, 3, 2, 1, 0].flatMap((days) =>
        Array.from({ length: 100 }, (_, i) => ({
          t: now - days * DAY_MS + (i - 100) * STEP_MS,
          v: value(100 * (5 - days) + i),
        })),
      );
    const noisy = (seed: number, scale = 1, shift = 0) => {
      const random = createRandom(seed);
      return history(() => scale * (100 + 5 * random.normal()) + shift);
    };
    const judge = (detector: Detector, before: Point[], ...values: number[]) =>
      detector.judge(
        before,
        values.map((v, i) => ({ t: now + i * STEP_MS, v })),
      );

    it('says nothing where it knows too little', () => {
      const detector = create({ floor: none });
      expect(judge(detector, [], 1, 2)).toEqual([undefined, undefined]);
      expect(judge(detector, [{ t: now - STEP_MS, v: 1 }], 1000)).toEqual([undefined]);
    });

    it('scores from 0 where it is expected, over 0.5 on the edge of the band, towards 1', () => {
      const detector = create({ floor: none });
      const [usual] = judge(detector, noisy(1), 100);
      if (!usual) throw new Error('no judgement');
      const { band } = usual;
      expect(usual.score).toBeLessThan(0.1);
      expect(band.low).toBeLessThan(band.expected);
      expect(scoreOf(band.expected, band)).toBe(0);
      const at = (v: number) => judge(detector, noisy(1), v)[0]?.score;
      expect(at(band.high)).toBeCloseTo(0.5);
      expect(at(band.low)).toBeCloseTo(0.5);
      expect(at(100_000)).toBeCloseTo(1);
      expect(at(-100_000)).toBeCloseTo(1);
      expect(at(band.high + 1)).toBeGreaterThan(at(band.high) ?? 1);
    });

    it('gives what never moves the band of its floor', () => {
      const flat = history(() => 10);
      const band = (floor: Floor) => judge(create({ floor }), flat, 10)[0]?.band;
      expect(band({ relative: 0.5, absolute: 1 })).toEqual({ expected: 10, low: 5, high: 15 });
      expect(band({ relative: 0, absolute: 1 })).toEqual({ expected: 10, low: 9, high: 11 });
      // Without a floor it must not move at all; there, it is no surprise.
      expect(judge(create({ floor: none }), flat, 10, 10.001).map((one) => one?.score)).toEqual([0, 1]);
    });

    it('is not misled by some values that are far off', () => {
      const random = createRandom(2);
      const spoiled = history((i) => (i % 5 === 0 ? 1e6 : 100 + 5 * random.normal()));
      const [usual, off] = judge(create({ floor: none }), spoiled, 100, 300);
      expect(usual?.score).toBeLessThan(0.2);
      expect(off?.score).toBeGreaterThan(0.9);
    });

    it('does not care about units: scaled or shifted, it scores the same', () => {
      for (let seed = 1; seed <= 20; seed += 1) {
        const plain = judge(create({ floor: none }), noisy(seed), 120)[0]?.score ?? -1;
        expect(judge(create({ floor: none }), noisy(seed, 1e-6), 120e-6)[0]?.score).toBeCloseTo(plain, 6);
        expect(judge(create({ floor: none }), noisy(seed, 1, 5000), 5120)[0]?.score).toBeCloseTo(plain, 6);
      }
    });

    it('judges the same each time, and leaves what it is given alone', () => {
      const detector = create({ floor: none });
      const before = noisy(3);
      const copy = structuredClone(before);
      const first = judge(detector, before, 90, 100, 200);
      expect(judge(detector, before, 90, 100, 200)).toEqual(first);
      expect(before).toEqual(copy);
    });
  });
}
