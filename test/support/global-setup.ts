import type { TestProject } from 'vitest/node';
import { removeContainers } from './run.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The process that runs the whole test run: what its test files share is named and cleaned up by it. */
    testRun: string;
  }
}

export default ({ provide }: TestProject): (() => Promise<void>) => {
  const run = String(process.pid);
  provide('testRun', run);
  return () => removeContainers(run);
};
