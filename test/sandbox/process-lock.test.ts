import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { withProcessLock } from '#sandbox/process-lock.ts';
import { uniqueKey } from '#test/contracts/sandbox.ts';

const quiet = { onWait: () => undefined };

it('lets one in at a time, within a process', async () => {
  const name = uniqueKey();
  let inside = 0;
  let most = 0;
  const work = async () => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside -= 1;
  };
  await Promise.all(Array.from({ length: 10 }, () => withProcessLock(name, quiet, work)));
  expect(most).toBe(1);
});

it('waits for another process, and takes over when that is killed', async () => {
  const name = uniqueKey();
  const script = `
    import { withProcessLock } from '#sandbox/process-lock.ts';
    await withProcessLock(${JSON.stringify(name)}, { onWait() {} }, async () => {
      console.log('held');
      await new Promise(() => setInterval(() => undefined, 1000));
    });`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(other.stdout, 'data');
  const events: string[] = [];
  const waiting = Promise.withResolvers<void>();
  const onWait = () => {
    events.push('waits');
    waiting.resolve();
  };
  const mine = withProcessLock(name, { onWait }, async () => events.push('mine'));
  await waiting.promise;
  events.push('killed');
  other.kill('SIGKILL');
  await mine;
  expect(events).toEqual(['waits', 'killed', 'mine']);
});

it('stops waiting with the signal, and is free again after a failure', async () => {
  const name = uniqueKey();
  const controller = new AbortController();
  const holding = Promise.withResolvers<void>();
  const first = withProcessLock(name, quiet, () => holding.promise);
  const second = withProcessLock(name, { ...quiet, signal: controller.signal }, async () => 'never');
  controller.abort(new Error('enough'));
  await expect(second).rejects.toThrow('enough');
  holding.reject(new Error('failed'));
  await expect(first).rejects.toThrow('failed');
  expect(await withProcessLock(name, quiet, async () => 'free')).toBe('free');
});
