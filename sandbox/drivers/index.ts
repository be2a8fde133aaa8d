import type { Logger } from '#observability/log.ts';
import type { SandboxDriver } from '../sandbox.ts';
import { createMemoryDriver } from './memory.ts';

export interface DriverContext {
  /** As Docker's own tools understand DOCKER_HOST; undefined: the local socket. */
  dockerHost: string | undefined;
  /** Where a driver keeps what outlives the process. */
  dataDir: string;
  log: Logger;
}

export const drivers = {
  memory: () => createMemoryDriver(),
} satisfies Record<string, (context: DriverContext) => SandboxDriver>;
