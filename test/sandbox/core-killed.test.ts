import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Sandbox, SandboxDriver } from '#sandbox/sandbox.ts';
import { specFor, uniqueKey } from '#test/contracts/sandbox.ts';
import { dockerDriver } from '#test/support/docker.ts';

let driver: SandboxDriver;
let sandbox: Sandbox;

beforeAll(async () => {
  driver = dockerDriver();
  sandbox = await driver.create(specFor(uniqueKey()));
});
beforeEach(async () => {
  await sandbox.exec('rm -f log go');
});
afterAll(async () => {
  await sandbox?.destroy();
  await driver?.[Symbol.asyncDispose]();
});

/** Runs the command from another process, which is killed as soon as the command has said something. */
async function runAndKill(command: string, key?: string): Promise<void> {
  const holder = join(import.meta.dirname, '../support/sandbox-holder.ts');
  const child = spawn(process.execPath, [holder, sandbox.id, command, ...(key ? [key] : [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await Promise.race([
    once(child.stdout, 'data'),
    exited.then(([code]) => Promise.reject(new Error(`The holder ended with ${code}`))),
  ]);
  child.kill('SIGKILL');
  await exited;
}

describe('when the core is killed in the middle of a command', () => {
  const command = 'echo ran >> log; echo start; until [ -e go ]; do sleep 0.02; done; echo end; exit 7';

  it('a command with a key goes on, and the next core gets its result', async () => {
    const key = uniqueKey();
    await runAndKill(command, key);
    const result = sandbox.exec(command, { key });
    await sandbox.files.write('go', '');
    expect(await result).toMatchObject({ ended: 'exit', exitCode: 7, output: 'start\nend\n' });
    expect((await sandbox.files.read('log')).toString()).toBe('ran\n');
  });

  it('its result waits for a core that comes after it has ended', async () => {
    const key = uniqueKey();
    await runAndKill(command, key);
    await sandbox.files.write('go', '');
    await sandbox.exec('while pgrep -f "[u]ntil . -e go" >/dev/null; do sleep 0.02; done');
    await using other = dockerDriver();
    const later = await other.open(sandbox.id);
    expect(await later?.exec(command, { key })).toMatchObject({
      ended: 'exit',
      exitCode: 7,
      output: 'start\nend\n',
    });
    expect((await sandbox.files.read('log')).toString()).toBe('ran\n');
  });

  it('a command without a key ends, since nobody can ever ask for it', async () => {
    await runAndKill('echo start; exec sleep 4711');
    await expect.poll(async () => (await sandbox.exec('pgrep -fc "sleep 471[1]"')).output).toBe('0\n');
  });
});
