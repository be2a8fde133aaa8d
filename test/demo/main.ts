import { createInterface } from 'node:readline/promises';
import { parseArgs, styleText } from 'node:util';
import { SandboxError } from '#sandbox/sandbox.ts';
import { stages } from './stages.ts';
import { createTerminal, type Terminal } from './terminal.ts';
import { createWorld, type World } from './world.ts';

/** `npm run demo [-- --keep]`: the life of a project in its threads, observed from outside. */
const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const terminal = createTerminal(process.stdout);

interface Observed {
  title: string;
  seen: string;
  ok: boolean;
  seconds: number;
}

async function walk(world: World): Promise<Observed[]> {
  const observed: Observed[] = [];
  for (const [index, stage] of stages.entries()) {
    terminal.heading(`${index + 1}. ${stage.title}`);
    const started = performance.now();
    let seen: string;
    let ok = true;
    try {
      seen = await stage.run(world, terminal);
    } catch (error) {
      seen = error instanceof Error ? error.message : String(error);
      ok = false;
    }
    observed.push({ title: stage.title, seen, ok, seconds: (performance.now() - started) / 1000 });
    if (!ok) break;
  }
  return observed;
}

function report(observed: readonly Observed[], seconds: number): boolean {
  terminal.heading('What was observed from outside');
  for (const { title, seen, ok, seconds: took } of observed) {
    const mark = ok ? styleText('green', '✓') : styleText('red', '✗');
    process.stdout.write(`${mark} ${title.padEnd(58)} ${took.toFixed(1).padStart(6)} s\n    ${seen}\n`);
  }
  const whole = observed.length === stages.length && observed.every(({ ok }) => ok);
  process.stdout.write(
    `\n${whole ? 'All' : 'Not all'} stages were observed, ${seconds.toFixed(0)} s in all.\n`,
  );
  return whole;
}

async function talk(world: World, out: Terminal): Promise<void> {
  out.heading('Your turn');
  process.stdout.write(
    `You are Ada in Slack #dev; status page: ${world.service.url}\nType a message (\`@comio help\`), /new for a new thread, Ctrl-D to leave.\n`,
  );
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  let thread: string | undefined;
  for await (const line of lines) {
    const text = line.trim();
    if (text === '/new') thread = undefined;
    else if (text !== '') {
      const ts = await world.slack.say({ user: 'ada', text, thread });
      thread ??= ts;
    }
  }
}

async function main(): Promise<number> {
  const started = performance.now();
  terminal.heading('Comio');
  await using world = await createWorld(terminal, process.env);
  terminal.say(`Comio runs at ${world.service.url}, process ${world.service.pid}, with ${world.model}.`);
  const whole = report(await walk(world), (performance.now() - started) / 1000);
  if (values.keep) await talk(world, terminal);
  return whole ? 0 : 1;
}

try {
  process.exit(await main());
} catch (error) {
  // No Docker, or no image to be made: a sentence for the person, as from `npm start`.
  if (!(error instanceof SandboxError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}
