import type { Terminal } from '../terminal.ts';
import type { World } from '../world.ts';
import { answered, say, textOf, tsOf } from './stage.ts';

/** Deploys what `main` is, and reads from outside what is live then. */
export async function deploy(
  world: World,
  terminal: Terminal,
  { thread, app, sha }: { thread: string; app: string; sha: string },
): Promise<string> {
  const before = await tsOf(world, thread);
  await say(world, terminal, '@comio deploy staging', thread);
  const end = await answered(
    world,
    terminal,
    thread,
    'Comio builds, starts, checks and swaps',
    (text) => /is live in staging|keeps serving|Nothing is live there/.test(text),
    before,
  );
  if (!/is live in staging/.test(textOf(end))) throw new Error(textOf(end));
  const live = (await world.deployed()).find((one) => one.app === app);
  if (live?.commit !== sha) throw new Error(`${live?.commit} is live instead of ${sha}`);
  const { status } = await world.ask(app, '/');
  if (status >= 500) throw new Error(`the live URL answers with ${status}`);
  return `${sha.slice(0, 7)} runs in the container`;
}
