import type { TestProject } from 'vitest/node';
import { createDockerClient } from '#sandbox/docker-client.ts';
import { ensureHostPrograms } from './host-programs.ts';
import { createMemoryDirectory } from './memory-directory.ts';
import { ensurePostgresImage } from './postgres-image.ts';
import { prepareDocker } from './prepare-docker.ts';
import { prometheusPrograms } from './prometheus-programs.ts';
import { removeContainers } from './run.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The process that runs the whole test run: what its test files share is named and cleaned up by it. */
    testRun: string;
  }
}

const say = (line: string): void => console.error(line);

/**
 * What takes a fresh machine minutes is installed and built here, once, before any test's time runs. Nothing is
 * started but Docker: the files that need a server start it.
 */
export default async ({ provide }: TestProject): Promise<() => Promise<void>> => {
  const { DOCKER_HOST, POSTGRES_TEST_URL } = process.env;
  await prepareDocker(say, DOCKER_HOST);
  await Promise.all([
    POSTGRES_TEST_URL ? undefined : ensurePostgresImage(createDockerClient(DOCKER_HOST)),
    ensureHostPrograms(say),
    // Where they cannot be had, the tests that use them fail.
    prometheusPrograms(say).catch((error: unknown) => say(String(error))),
  ]);
  const run = String(process.pid);
  provide('testRun', run);
  const memory = await createMemoryDirectory();
  // The processes of the test files inherit it.
  if (memory) process.env.TMPDIR = memory.path;
  return async () => {
    await removeContainers(run);
    await memory?.[Symbol.asyncDispose]();
  };
};
