import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { targets } from '#adapters/targets/index.ts';
import { createMemoryTarget } from '#adapters/targets/memory.ts';
import { type TargetNotSupported, type TargetWorld, targetContract } from '#test/contracts/target.ts';
import { createDockerWorld } from './docker-world.ts';

const directory = await mkdtemp(join(tmpdir(), 'comio-target-'));
const docker = createDockerWorld();
afterAll(async () => {
  await docker[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

type Name = keyof typeof targets;

const WORLDS: Record<Name, TargetWorld> = {
  docker: { makeTarget: () => docker.makeTarget(), baseImage: docker.baseImage },
  memory: { makeTarget: () => createMemoryTarget({ directory }), baseImage: docker.baseImage },
};

const NOT_SUPPORTED: Record<Name, TargetNotSupported> = {
  docker: {},
  memory: {
    dockerfile: 'a project runs as it is, on the host',
    python: 'a host may have no Python',
    isolation: 'an app is a process of the host',
  },
};

for (const name of Object.keys(WORLDS) as Name[]) targetContract(name, WORLDS[name], NOT_SUPPORTED[name]);
