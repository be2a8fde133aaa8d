import { afterEach, beforeEach, expect, it } from 'vitest';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { createSandboxManager, type SandboxManager } from '#sandbox/manager.ts';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import * as git from '#sandbox/workspace-git.ts';
import { specFor } from '#test/contracts/sandbox.ts';
import { silentLog } from '#test/support/silent-log.ts';

let driver: SandboxDriver;
let time: number;
let manager: SandboxManager;
const newManager = () => createSandboxManager({ driver, log: silentLog, idleMs: 1000, now: () => time });

beforeEach(() => {
  time = 0;
  driver = createMemoryDriver();
  manager = newManager();
});
afterEach(() => driver[Symbol.asyncDispose]());

it('stops what nobody used, after a checkpoint, and starts it again with its files', async () => {
  const busy = await manager.acquire(specFor('busy'));
  const idle = await manager.acquire(specFor('idle'));
  await git.init(idle, 'main');
  await idle.files.write('a.txt', 'a');
  time = 999;
  expect(await manager.stopIdle()).toEqual([]);
  manager.touch(busy.id);
  time = 1000;
  expect(await manager.stopIdle()).toEqual([idle.id]);
  expect(await busy.state()).toBe('running');
  expect(await idle.state()).toBe('stopped');
  const again = await manager.acquire(specFor('idle'));
  expect((await again.exec('git show refs/comio/idle:a.txt')).output).toBe('a');
  expect(await manager.stopIdle()).toEqual([]);
});

it('gives sandboxes of an earlier process their time', async () => {
  await manager.acquire(specFor('old'));
  time = 5000;
  const next = newManager();
  expect(await next.stopIdle()).toEqual([]);
  time = 6000;
  expect(await next.stopIdle()).toHaveLength(1);
});

it('stops the others when one cannot be', async () => {
  const broken = await manager.acquire(specFor('broken'));
  const idle = await manager.acquire(specFor('idle'));
  await git.init(broken, 'main');
  await broken.files.write('.git/config', 'not a configuration');
  await broken.files.write('.git/HEAD', 'ref: refs/heads/main\n');
  time = 1000;
  expect(await manager.stopIdle()).toContain(idle.id);
});
