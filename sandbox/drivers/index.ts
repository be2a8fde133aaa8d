import type { Logger } from '#observability/log.ts';
import type { SandboxDriver } from '../sandbox.ts';
import { createDockerDriver } from './docker.ts';
import { createMemoryDriver } from './memory.ts';

export interface DriverContext {
  /** As Docker's own tools understand DOCKER_HOST; undefined: the local socket. */
  dockerHost: string | undefined;
  log: Logger;
}

export const drivers = {
  docker: (context) => createDockerDriver(context),
  memory: () => createMemoryDriver(),
} satisfies Record<string, (context: DriverContext) => SandboxDriver>;
