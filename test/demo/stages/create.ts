import { deploy } from './deploy.ts';
import { answered, isEnd, passes, type Stage, say, textOf } from './stage.ts';

/** What the stages share: the project's thread, and its repository. */
const shared: { thread?: string; repository?: string } = {};

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
    shared.thread = ts;
    shared.repository = repository;
    return passes(world, terminal, repository, 'main');
  },
};

const live: Stage = {
  part: 'create',
  title: 'It is deployed, and answers',
  async run(world, terminal) {
    const { thread, repository } = shared;
    if (thread === undefined || repository === undefined) throw new Error('the stage before did not run');
    const [owner = '', repo = ''] = repository.split('/');
    const main = (await world.github.branches({ owner, repo })).find(({ name }) => name === 'main');
    if (!main) throw new Error(`${repository} has no branch main`);
    const app = `${repo}-staging`;
    const paths = world.isScripted ? ['/recipes'] : ['/health', '/healthz', '/'];
    const seen = await deploy(world, terminal, { thread, app, sha: main.sha, paths });
    // What its routes are called is the model's choice.
    if (!world.isScripted) return `${seen}, at http://${world.hostOf(app)}`;
    const pancakes = { title: 'Pancakes', minutes: 20, ingredients: ['Egg'] };
    const { status } = await world.ask(app, '/recipes', pancakes);
    if (status !== 201) throw new Error(`a recipe is answered with ${status}`);
    const { body } = await world.ask(app, '/recipes?ingredient=egg');
    const titles = (JSON.parse(body) as { title: string }[]).map(({ title }) => title);
    if (titles.join() !== 'Pancakes') throw new Error(`the live API answers ${body}`);
    return `${seen}; a recipe was added at http://${world.hostOf(app)} and found again`;
  },
};

export const createStages: readonly Stage[] = [create, live];
