import type { TestProject } from 'vitest/node';
import { ensureDocker } from '#infra/docker/ensure-docker.ts';
import { removeContainers } from './run.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The process that runs the whole test run: what its test files share is named and cleaned up by it. */
    testRun: string;
  }
}

/** Nothing else is started here: the files that need an image or a server make it, once for all of them. */
export default async ({ provide }: TestProject): Promise<() => Promise<void>> => {
  await ensureDocker({ say: (line) => console.error(line), dockerHost: process.env.DOCKER_HOST });
  const run = String(process.pid);
  provide('testRun', run);
  return () => removeContainers(run);
};
