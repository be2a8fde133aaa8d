import { call, steps } from './step.ts';

const recipesSource = `import { HttpError } from './http.ts';
import type { Route } from './router.ts';
import type { Store } from './store.ts';

export interface Recipe {
  title: string;
  minutes: number;
  ingredients: string[];
}

export const recipeRoutes = (recipes: Store<Recipe>): Route[] => [
  {
    method: 'GET',
    path: '/recipes',
    handle: ({ query }) => {
      const wanted = query.get('ingredient');
      const all = recipes.list();
      return { status: 200, body: wanted ? all.filter((r) => r.ingredients.includes(wanted)) : all };
    },
  },
  { method: 'POST', path: '/recipes', handle: ({ body }) => ({ status: 201, body: recipes.create(parse(body)) }) },
  {
    method: 'GET',
    path: '/recipes/:id',
    handle: ({ params }) => {
      const recipe = recipes.get(params.id ?? '');
      if (!recipe) throw new HttpError(404, 'There is no such recipe');
      return { status: 200, body: recipe };
    },
  },
  {
    method: 'DELETE',
    path: '/recipes/:id',
    handle: ({ params }) => {
      if (!recipes.remove(params.id ?? '')) throw new HttpError(404, 'There is no such recipe');
      return { status: 204 };
    },
  },
];

function parse(body: unknown): Recipe {
  const { title, minutes, ingredients } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  if (typeof title !== 'string' || title.trim() === '') throw new HttpError(400, '"title" must be a text that is not empty');
  if (typeof minutes !== 'number' || !(minutes > 0)) throw new HttpError(400, '"minutes" must be a number above zero');
  if (!Array.isArray(ingredients) || !ingredients.every((one) => typeof one === 'string')) {
    throw new HttpError(400, '"ingredients" must be a list of texts');
  }
  return { title: title.trim(), minutes, ingredients };
}
`;

const recipesTest = `import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { createApp } from '../src/app.ts';

let server: Server;
let base: string;

beforeEach(async () => {
  server = createServer(createApp());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = \`http://127.0.0.1:\${(server.address() as AddressInfo).port}\`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const post = (body: unknown) => fetch(\`\${base}/recipes\`, { method: 'POST', body: JSON.stringify(body) });
const pancakes = { title: 'Pancakes', minutes: 20, ingredients: ['Egg', 'Milk', 'Flour'] };

test('a recipe can be added and read back', async () => {
  const created = await (await post(pancakes)).json();
  assert.deepEqual(await (await fetch(\`\${base}/recipes/\${created.id}\`)).json(), { ...pancakes, id: created.id });
});

test('recipes are found by ingredient, whatever the case', async () => {
  await post(pancakes);
  await post({ title: 'Toast', minutes: 5, ingredients: ['Bread'] });
  const found = await (await fetch(\`\${base}/recipes?ingredient=egg\`)).json();
  assert.deepEqual(found.map((recipe: { title: string }) => recipe.title), ['Pancakes']);
});

test('a recipe without a title is refused with a reason', async () => {
  const response = await post({ minutes: 5, ingredients: [] });
  assert.equal(response.status, 400);
  assert.match((await response.json()).error, /title/);
});

test('a recipe can be removed', async () => {
  const { id } = await (await post(pancakes)).json();
  assert.equal((await fetch(\`\${base}/recipes/\${id}\`, { method: 'DELETE' })).status, 204);
  assert.equal((await fetch(\`\${base}/recipes/\${id}\`)).status, 404);
});
`;

export const createScenarios = [
  {
    name: 'an API for cooking recipes with tests',
    when: 'cooking recipes',
    steps: steps(
      {
        text: 'I start from the Node API template.',
        toolCalls: [call('scaffold_project', { template: 'node-api', name: 'recipes' })],
      },
      {
        text: 'Recipes replace the sample items.',
        toolCalls: [
          call('create_file', { path: 'src/recipes.ts', content: recipesSource }),
          call('delete_file', { path: 'src/items.ts' }),
          call('edit_file', {
            path: 'src/app.ts',
            old_string: "import { itemRoutes, type Item } from './items.ts';",
            new_string: "import { type Recipe, recipeRoutes } from './recipes.ts';",
          }),
          call('edit_file', {
            path: 'src/app.ts',
            old_string: '...itemRoutes(createStore<Item>()),',
            new_string: '...recipeRoutes(createStore<Recipe>()),',
          }),
          call('delete_file', { path: 'test/api.test.ts' }),
          call('create_file', { path: 'test/recipes.test.ts', content: recipesTest }),
        ],
      },
      { toolCalls: [call('run_command', { command: 'npm test' })] },
      {
        text: 'The search must not mind upper and lower case.',
        toolCalls: [
          call('edit_file', {
            path: 'src/recipes.ts',
            old_string: "      const wanted = query.get('ingredient');",
            new_string: "      const wanted = query.get('ingredient')?.toLowerCase();",
          }),
          call('edit_file', {
            path: 'src/recipes.ts',
            old_string: 'all.filter((r) => r.ingredients.includes(wanted))',
            new_string: 'all.filter((r) => r.ingredients.some((one) => one.toLowerCase() === wanted))',
          }),
          call('run_command', { command: 'npm test' }),
        ],
      },
      { toolCalls: [call('git_commit', { message: 'Add an API for cooking recipes' })] },
      {
        toolCalls: [
          call('publish', {
            title: 'An API for cooking recipes',
            body: 'Recipes can be added, read, searched by ingredient and removed.',
          }),
        ],
      },
    ),
    final:
      'The API adds, reads, removes and searches recipes. My first version of the search minded upper and lower case; a test caught that.',
  },
];
