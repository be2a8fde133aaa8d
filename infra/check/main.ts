// `npm run check`: everything that must hold besides the tests. Every step runs, also after one has failed.
import { run } from './command.ts';
import { checkCompose } from './compose.ts';
import { checkHygiene } from './hygiene.ts';
import { checkLock } from './lock.ts';
import { checkWorkflows } from './workflows.ts';

/** Resolves to what is wrong, one line each. */
type Check = () => Promise<string[]>;

const command =
  (program: string, ...args: string[]): Check =>
  async () => {
    const { code, output } = await run(program, args);
    return code === 0 ? [] : [output.trimEnd() || `${program} failed with exit code ${code}`];
  };

const checks: Record<string, Check> = {
  'format and lint': command('biome', 'ci', '--error-on-warnings', '--colors=off'),
  types: command('tsc', '-p', '.'),
  architecture: command('vitest', 'run', '--no-color', 'test/architecture.test.ts'),
  workflows: checkWorkflows,
  'docker-compose.yml': checkCompose,
  'package-lock.json': checkLock,
  'no traces of a machine': checkHygiene,
};

let failed = false;
for (const [name, check] of Object.entries(checks)) {
  const started = performance.now();
  const problems = await check();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${problems.length === 0 ? '✓' : '✗'} ${name} (${seconds} s)`);
  for (const problem of problems) console.log(problem.replace(/^/gm, '  '));
  failed ||= problems.length > 0;
}
process.exitCode = failed ? 1 : 0;
