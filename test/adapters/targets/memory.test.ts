import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { createMemoryTarget } from '#adapters/targets/memory.ts';
import { askSoon, NODE_PROJECT, specFor, tarOf, uniqueKey } from '#test/contracts/target.ts';
import { createTempDir } from '#test/support/temp-dir.ts';

it('has instances that outlive a killed process, also its exit code and output', async () => {
  await using directory = await createTempDir();
  await using target = createMemoryTarget({ directory: directory.path });
  const built = await target.build({ key: uniqueKey(), source: await tarOf(NODE_PROJECT) });
  const spec = specFor(built);
  const program = `
    import { createMemoryTarget } from '#adapters/targets/memory.ts';
    await createMemoryTarget({ directory: ${JSON.stringify(directory.path)} }).start(${JSON.stringify(spec)});
    process.kill(process.pid, 'SIGKILL');
  `;
  const core = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [said, [, signal]] = await Promise.all([text(core.stderr), once(core, 'exit')]);
  expect({ said, signal }).toEqual({ said: '', signal: 'SIGKILL' });

  const instance = await target.start(spec);
  expect(await askSoon(instance, 'say/still%20here')).toBe('said');
  expect(await target.list()).toEqual([instance]);
  await askSoon(instance, 'exit/4');
  await expect.poll(() => target.instance(spec.key)).toMatchObject({ state: 'exited', exitCode: 4 });
  expect(await target.logs(spec.key, { lines: 1 })).toEqual(['still here']);
  await target.stop(spec.key, 0);
  expect(await target.list()).toEqual([]);
});

it('takes everything along when it had a directory of its own', async () => {
  const target = createMemoryTarget();
  const built = await target.build({ key: uniqueKey(), source: await tarOf(NODE_PROJECT) });
  const instance = await target.start(specFor(built));
  await askSoon(instance);
  await target[Symbol.asyncDispose]();
  await expect(askSoonOnce(instance.address)).rejects.toThrow();
});

const askSoonOnce = ({ host, port }: { host: string; port: number }): Promise<Response> =>
  fetch(`http://${host}:${port}`);
