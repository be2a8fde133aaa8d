import type { Detector, Floor } from './detector.ts';
import { createRobustZScore } from './robust-z-score.ts';
import { createSeasonal } from './seasonal.ts';

export const detectors = {
  'robust-z-score': createRobustZScore,
  seasonal: createSeasonal,
} satisfies Record<string, (options: { floor: Floor }) => Detector>;
