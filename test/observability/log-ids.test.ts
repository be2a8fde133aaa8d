import { expect, it } from 'vitest';
import { currentIds, withIds } from '#observability/context.ts';
import type { Logger } from '#observability/log.ts';
import { testComio } from '#test/support/comio.ts';
import { greeting, worked } from './greeting.ts';

it('every record of a request carries its ids, from the receipt over its jobs to the turn', async () => {
  const records: Record<string, unknown>[] = [];
  const logger = (bound: object): Logger => {
    const note = (fields: object, msg: string) =>
      void records.push({ ...currentIds(), ...bound, ...fields, msg });
    return {
      debug: note,
      info: note,
      warn: note,
      error: note,
      child: (more) => logger({ ...bound, ...more }),
    };
  };
  await using world = await testComio({ script: greeting, log: logger({}) });
  await worked(world.chat);
  const of = (msg: string) => records.filter((record) => record.msg === msg);
  const [received] = of('message received');
  const ids = { requestId: expect.stringMatching(/^[0-9a-f-]{36}$/), messageId: received?.message };
  expect(received).toMatchObject(ids);
  const request = { ...ids, requestId: received?.requestId };
  expect(of('message decided')).toEqual([expect.objectContaining({ ...request, jobId: expect.any(String) })]);
  const steps = of('step begun');
  expect(steps.length).toBeGreaterThan(2);
  for (const step of steps)
    expect(step).toMatchObject({ ...request, runId: expect.any(String), turnId: step.turn });
  expect(of('sandbox ready')).toEqual([expect.objectContaining({ ...request, runId: expect.any(String) })]);
});

it('keeps the ids of two things apart, and can take one away', async () => {
  const seen = await Promise.all(
    ['a', 'b'].map((runId) =>
      withIds({ runId, requestId: 'r' }, async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return withIds({ requestId: undefined }, () => currentIds());
      }),
    ),
  );
  expect(seen).toEqual([{ runId: 'a' }, { runId: 'b' }]);
  expect(currentIds()).toEqual({});
});
