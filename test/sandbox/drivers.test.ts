import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { drivers } from '#sandbox/drivers/index.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import { type NotSupported, sandboxContract } from '#test/contracts/sandbox.ts';
import { dockerDriver } from '#test/support/docker.ts';

const directory = await mkdtemp(join(tmpdir(), 'comio-memory-'));
afterAll(() => rm(directory, { recursive: true }));

type Name = keyof typeof drivers;

/** Drivers of the suite that see the same sandboxes however many are made. */
const MAKE: Record<Name, () => SandboxDriver> = {
  docker: dockerDriver,
  memory: () => createMemoryDriver({ directory }),
};

const NOT_SUPPORTED: Record<Name, NotSupported> = {
  docker: {},
  memory: {
    isolation: 'commands are processes of the host',
    network: "commands have the host's network",
    limits: 'commands have what the host has',
    ripgrepSyntax: 'searches by git grep, since a host may have no ripgrep',
    joinElsewhere: 'a running command is known to the driver that started it',
  },
};

for (const name of Object.keys(drivers) as Name[]) {
  sandboxContract(name, async () => MAKE[name](), NOT_SUPPORTED[name]);
}
