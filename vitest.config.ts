import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/fixtures/**', 'node_modules/**'],
    globalSetup: ['test/support/global-setup.ts'],
    // They bound what has failed: two cores, or the shared machine of a CI, make a test many times slower.
    testTimeout: 180_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    sequence: { sequencer: LongestFirst },
    // Two cores are the smallest machine we promise to be tested on; the third fills them while others wait for a timer,
    // a scrape, or a container.
    maxWorkers: 3,
    // Each file has a process of its own, which ends before what it threw away had to be collected again and again.
    execArgv: ['--min-semi-space-size=32', '--max-semi-space-size=64'],
  },
});
