import { createInterface } from 'node:readline/promises';
import { parseArgs, styleText } from 'node:util';
import { exitWithSentence } from '../support/prepare-docker.ts';
import { PARTS, type Part, stagesOf } from './stages/all.ts';
import { createTerminal, type Terminal } from './terminal.ts';
import { createWorld, type World } from './world.ts';

/** `npm run demo [-- [create|edit|incident…] [--keep]]`: the life of a project in its threads, observed from outside. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { keep: { type: 'boolean', default: false } },
});
const isPart = (text: string): text is Part => PARTS.some((part) => part === text);
const unknown = positionals.filter((text) => !isPart(text));
if (unknown.length > 0) {
  process.stderr.write(
    `There is no part "${unknown.join(', ')}" of the demo: ${PARTS.join(', ')} are there.\n`,
  );
  process.exit(2);
}
const stages = stagesOf(positionals.filter(isPart));
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
    `\n${whole ? 'All' : 'Not all'} stages were observed, ${seconds.toFixed(0)} s in all, with start and checks.\n`,
  );
  return whole;
}

const HOW_TO = `You are Ada in Slack #dev. The status page is at URL
  @comio help                 what the bot understands (the scripted model knows only the demo's requests)
  @comio import acme/durations   then: @comio fix it · a word in between · @comio stop · @comio undo
  /press Undo                 presses the newest button of that name
  /new                        goes to a new thread; Ctrl-D leaves
`;

async function talk(world: World, out: Terminal): Promise<void> {
  out.heading('Your turn');
  process.stdout.write(HOW_TO.replace('URL', world.service.url));
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: 'Ada › ' });
  let thread: string | undefined;
  lines.prompt();
  for await (const line of lines) {
    const text = line.trim();
    const [, label] = /^\/press \[?(.+?)\]?$/.exec(text) ?? [];
    if (text === '/new') {
      thread = undefined;
      out.say('The next message begins a new thread.');
    } else if (label)
      out.say((await press(world, thread, label)) ?? `There is no button "${label}" in this thread.`);
    else if (text.startsWith('/')) out.say(`"${text}" is not known here; /new and /press NAME are.`);
    else if (text !== '') {
      const ts = await world.slack.say({ user: 'ada', text, thread });
      thread ??= ts;
    }
    lines.prompt();
  }
  out.say('Leaving: Comio stops, and what it made here is removed.');
}

/** What was pressed; undefined when no message of the thread has such a button. */
async function press(world: World, thread: string | undefined, label: string): Promise<string | undefined> {
  const messages = thread === undefined ? [] : await world.slack.thread(thread);
  for (const { ts, blocks } of messages.toReversed()) {
    const shown = JSON.stringify(blocks).toLowerCase().includes(`"text":"${label.toLowerCase()}"`);
    if (!shown) continue;
    await world.slack.press({ ts, user: 'ada', actionId: `${label[0]?.toUpperCase()}${label.slice(1)}` });
    return `Pressed [${label}].`;
  }
  return undefined;
}

async function main(): Promise<number> {
  const started = performance.now();
  terminal.heading('Comio');
  const ready = terminal.wait('starting the local Slack and GitHub, and Comio between them');
  await using world = await createWorld(terminal, process.env, {
    incident: stages.some(({ part }) => part === 'incident'),
  });
  ready();
  terminal.say(`Comio runs at ${world.service.url}, process ${world.service.pid}, with ${world.model}.`);
  const whole = report(await walk(world), (performance.now() - started) / 1000);
  if (values.keep) await talk(world, terminal);
  return whole ? 0 : 1;
}

process.exit(await main().catch(exitWithSentence));
