// Prints `N passed, N failed, N skipped` for a report of vitest's JSON reporter; exits with 1 unless all passed.
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const report = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.unknown()) })),
});

const [file = ''] = process.argv.slice(2);
const result = report.parse(JSON.parse(await readFile(file, 'utf8')));
// A file that cannot even be loaded counts no test.
const broken = result.testResults.filter(
  ({ status, assertionResults }) => status === 'failed' && !assertionResults.length,
);
const failed = result.numFailedTests + broken.length;
const skipped = result.numPendingTests + result.numTodoTests;
console.log(`${result.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 && skipped === 0 && result.numPassedTests > 0 ? 0 : 1;
