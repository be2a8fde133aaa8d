import type { Terminal } from '../terminal.ts';
import type { World } from '../world.ts';
import { answered, say, textOf, tsOf } from './stage.ts';

/**
 * Deploys what `main` is, and looks from outside: at the container that runs, and at what the app says through the
 * proxy at one of the paths, which are the app's own.
 */
export async function deploy(
  world: World,
  terminal: Terminal,
  { thread, app, sha, paths }: { thread: string; app: string; sha: string; paths: readonly string[] },
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
  const running = await world.running(app);
  if (running !== sha) throw new Error(`the newest container runs ${running} instead of ${sha}`);
  const refused: string[] = [];
  for (const path of paths) {
    const { status } = await world.ask(app, path);
    if (status >= 200 && status < 300)
      return `the container runs ${sha.slice(0, 7)}, its GET ${path} is answered with ${status}`;
    refused.push(`GET ${path} with ${status}`);
  }
  throw new Error(`the live URL answers ${refused.join(', ')}`);
}
