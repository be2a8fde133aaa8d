import { createDockerTarget, type DockerTargetOptions } from './docker.ts';
import { createMemoryTarget } from './memory.ts';
import type { Target } from './target.ts';

export type TargetContext = DockerTargetOptions;

export const targets = {
  docker: (context) => createDockerTarget(context),
  memory: () => createMemoryTarget(),
} satisfies Record<string, (context: TargetContext) => Target>;
