import type { Journal, Step } from './journal.ts';

/** Often enough to see that something moves; surfaces edit no more often than this anyway. */
const EVERY_MS = 1500;

/**
 * Shows what a step is doing while it does it: the newest text, written at most every {@link EVERY_MS}. `settle` waits
 * for a write under way and throws what it threw; nothing is written after it.
 */
export function liveDetail(
  journal: Journal,
  step: Step,
): { show(text: string): void; settle(): Promise<void> } {
  let latest = '';
  let shown = '';
  let writing: Promise<void> = Promise.resolve();
  let failure: unknown;
  const timer = setInterval(() => {
    if (latest === shown) return;
    shown = latest;
    writing = journal.detail(step, shown).catch((error: unknown) => {
      failure ??= error;
    });
  }, EVERY_MS);
  timer.unref();
  return {
    show(text) {
      latest = text;
    },
    async settle() {
      clearInterval(timer);
      await writing;
      if (failure !== undefined) throw failure;
    },
  };
}
