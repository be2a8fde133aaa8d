import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { sandboxContract } from '#test/contracts/sandbox.ts';

const directory = await mkdtemp(join(tmpdir(), 'comio-memory-'));
afterAll(() => rm(directory, { recursive: true }));

sandboxContract('memory', async () => createMemoryDriver({ directory }), {
  isolation: 'commands are processes of the host',
  network: "commands have the host's network",
  limits: 'commands have what the host has',
  ripgrepSyntax: 'searches by git grep, since a host may have no ripgrep',
  joinElsewhere: 'a running command is known to the driver that started it',
});
