import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { exitWithSentence, prepareDocker } from '../support/prepare-docker.ts';
import { suites } from './index.ts';
import { type Result, table } from './measure.ts';

/** `npm run bench -- [suite …] [--json FILE]` */
const { values, positionals } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true });
const names = positionals.length > 0 ? positionals : Object.keys(suites);
const unknown = names.filter((name) => !Object.hasOwn(suites, name));
if (unknown.length > 0) {
  process.stderr.write(`No suite ${unknown.join(', ')}. There are: ${Object.keys(suites).join(', ')}\n`);
  process.exit(2);
}
const say = (line: string) => process.stderr.write(`${line}\n`);
await prepareDocker(say, process.env.DOCKER_HOST).catch(exitWithSentence);
const results: Result[] = [];
for (const name of names as (keyof typeof suites)[]) {
  for await (const result of suites[name]()) results.push(result);
}
process.stdout.write(`${table(results)}\n`);
if (values.json) await writeFile(values.json, `${JSON.stringify(results, null, 2)}\n`);
process.exit(0);
