import { expect, it } from 'vitest';
import { signalsSource } from '#core/incidents/evidence/signals.ts';
import { watchedSeries } from '#core/incidents/watch-series.ts';
import { sceneOf, signalOf } from './scene.ts';

it('of very many signals the first are evidence and are watched, and how many more came is told', async () => {
  const signals = Array.from({ length: 500 }, (_, n) => signalOf('alert', `alert ${n}`, `vector(${n})`));
  const pieces = await signalsSource.gather(
    sceneOf({ onset: new Date(0), signals }),
    new AbortController().signal,
  );
  expect(pieces).toHaveLength(21);
  expect(pieces[0]?.title).toBe('alert: alert 0');
  expect(pieces.at(-1)?.title).toContain('480 more signals');
  expect(watchedSeries(signals, true)).toHaveLength(30);
});
