import { answered, isEnd, passes, type Stage, say, textOf } from './stage.ts';

const create: Stage = {
  part: 'create',
  title: 'A project from one sentence',
  async run(world, terminal) {
    const ts = await say(world, terminal, '@comio new an API for cooking recipes with tests');
    const live = await answered(world, terminal, ts, 'Comio starts', () => true);
    const end = await answered(
      world,
      terminal,
      ts,
      'Comio builds, tests and publishes',
      isEnd,
      new Set([live.ts]),
    );
    const [, repository] = /\b(acme\/[\w-]+)/.exec(textOf(end)) ?? [];
    if (!repository) throw new Error(`the final message names no repository:\n${textOf(end)}`);
    return passes(world, terminal, repository, 'main');
  },
};

export const createStages: readonly Stage[] = [create];
