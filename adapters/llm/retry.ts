import { LlmError, type Provider } from './llm.ts';

export interface RetryOptions {
  /** Tries in all, the first included. */
  attempts: number;
  /** Milliseconds before the second try; doubled for each further one. */
  baseMs: number;
  /** Rejects when the signal aborts. */
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** From 0 to 1. */
  random: () => number;
}

/** Milliseconds. Nobody waits longer for an answer without being told: a longer Retry-After is passed on as the error. */
const LONGEST_WAIT_MS = 60_000;

/**
 * Tries again after transient errors: half the backoff for certain, half of it by chance, so that runs that failed
 * together do not come back together. Never once anything was passed on: what was said cannot be taken back.
 */
export const withRetry = (provider: Provider, options: RetryOptions): Provider => ({
  name: provider.name,
  async *stream(request) {
    for (let attempt = 1; ; attempt++) {
      let begun = false;
      try {
        for await (const event of provider.stream(request)) {
          begun = true;
          yield event;
        }
        return;
      } catch (error) {
        if (begun || !(error instanceof LlmError) || !error.transient || attempt >= options.attempts)
          throw error;
        const backoff = options.baseMs * 2 ** (attempt - 1);
        const wait = Math.max(error.retryAfterMs ?? 0, backoff / 2 + (options.random() * backoff) / 2);
        if (wait > LONGEST_WAIT_MS) throw error;
        await pause(wait, options.sleep, request.signal, error);
      }
    }
  },
});

async function pause(
  ms: number,
  sleep: RetryOptions['sleep'],
  signal: AbortSignal | undefined,
  cause: LlmError,
) {
  const aborted = () =>
    new LlmError('aborted', 'The request was stopped while waiting to be tried again.', { cause });
  if (signal?.aborted) throw aborted();
  try {
    await sleep(ms, signal);
  } catch (error) {
    throw signal?.aborted ? aborted() : error;
  }
}
