import { expect, test } from 'vitest';
import { complete, LlmError, type LlmErrorCode, type ModelEvent, type Provider } from '#adapters/llm/llm.ts';
import { withRetry } from '#adapters/llm/retry.ts';
import { requestFor } from '#test/contracts/llm.ts';

const END: ModelEvent = {
  type: 'end',
  stop: 'end',
  usage: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0 },
};
const OK: ModelEvent[] = [{ type: 'text', text: 'ok' }, END];

/** Fails and answers as listed, one item a call; the last one for all further calls. */
function flaky(...outcomes: (LlmError | ModelEvent[] | [...ModelEvent[], LlmError])[]) {
  let calls = 0;
  const provider: Provider = {
    name: 'flaky',
    async *stream() {
      const outcome = outcomes[Math.min(calls++, outcomes.length - 1)];
      for (const item of outcome instanceof LlmError ? [outcome] : (outcome ?? [])) {
        if (item instanceof LlmError) throw item;
        yield item;
      }
    },
  };
  return { provider, calls: () => calls };
}

const error = (code: LlmErrorCode, retryAfterMs?: number) => new LlmError(code, code, { retryAfterMs });

function retrying(provider: Provider, random = 0) {
  const waits: number[] = [];
  const sleep = async (ms: number) => {
    waits.push(ms);
  };
  const request = requestFor('m', [{ role: 'user', content: 'hello' }]);
  const answer = complete(
    withRetry(provider, { attempts: 4, baseMs: 1_000, sleep, random: () => random }),
    request,
  );
  return { answer, waits };
}

test('waits twice as long each time, half of it by chance', async () => {
  for (const [random, expected] of [
    [0, [500, 1_000, 2_000]],
    [1, [1_000, 2_000, 4_000]],
  ] as const) {
    const { provider } = flaky(error('overloaded'), error('unavailable'), error('cut_off'), OK);
    const { answer, waits } = retrying(provider, random);
    expect((await answer).text).toBe('ok');
    expect(waits).toEqual(expected);
  }
});

test('gives up after the last attempt with the error it got', async () => {
  const { provider, calls } = flaky(error('overloaded'));
  await expect(retrying(provider).answer).rejects.toMatchObject({ code: 'overloaded' });
  expect(calls()).toBe(4);
});

test('waits as long as the provider asks, and passes on what is too long', async () => {
  const { answer, waits } = retrying(flaky(error('rate_limited', 7_000), OK).provider);
  await answer;
  expect(waits).toEqual([7_000]);
  const { provider, calls } = flaky(error('rate_limited', 3_600_000), OK);
  await expect(retrying(provider).answer).rejects.toMatchObject({
    code: 'rate_limited',
    retryAfterMs: 3_600_000,
  });
  expect(calls()).toBe(1);
});

test.each<LlmErrorCode>(['auth', 'context_overflow', 'aborted', 'bad_request', 'unknown_model'])(
  'does not try %s again',
  async (code) => {
    const { provider, calls } = flaky(error(code), OK);
    await expect(retrying(provider).answer).rejects.toMatchObject({ code });
    expect(calls()).toBe(1);
  },
);

test('does not try again once something was said', async () => {
  const { provider, calls } = flaky([{ type: 'text', text: 'half' }, error('cut_off')], OK);
  await expect(retrying(provider).answer).rejects.toMatchObject({ code: 'cut_off' });
  expect(calls()).toBe(1);
});

test('an abort ends the wait', async () => {
  const abort = new AbortController();
  const { provider, calls } = flaky(error('overloaded'), OK);
  const retried = withRetry(provider, {
    attempts: 3,
    baseMs: 1,
    random: () => 0,
    sleep: async (_, signal) => {
      abort.abort();
      signal?.throwIfAborted();
    },
  });
  const request = { ...requestFor('m', [{ role: 'user' as const, content: 'hello' }]), signal: abort.signal };
  await expect(complete(retried, request)).rejects.toMatchObject({ code: 'aborted' });
  expect(calls()).toBe(1);
});
