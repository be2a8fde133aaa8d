import { setTimeout as sleep } from 'node:timers/promises';
import type { Forge } from '#adapters/forge/forge.ts';
import { createGitHubForge } from '#adapters/forge/github.ts';
import { createMemoryMetrics } from '#adapters/queries/memory.ts';
import type { Card } from '#core/conversations/card.ts';
import { toJson } from '#core/store/storable.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import type { GitHubPeer } from '#test/peers/github.ts';
import { testComio } from '#test/support/comio.ts';
import type { StoreKind } from '#test/support/database.ts';
import type { Shown } from '#test/support/memory-surface.ts';
import { silentLog } from '#test/support/silent-log.ts';

export const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });

const SERVER = `import { createServer } from 'node:http';
import { total } from './price.mjs';
const server = createServer((request, response) => response.end(request.url === '/health' ? 'ok' : String(total([]))));
server.listen(process.env.PORT);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
`;

/** A shop whose totals forget quantities. */
const shop = {
  'package.json': JSON.stringify({
    name: 'shop',
    version: '1.0.0',
    scripts: { start: 'node server.mjs', test: 'node --test' },
  }),
  'server.mjs': SERVER,
  'price.mjs': 'export const total = (items) => items.reduce((sum, { price }) => sum + price, 0);\n',
  'test/price.test.mjs': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { total } from '../price.mjs';
test('adds', () => assert.equal(total([{ price: 2, quantity: 1 }]), 2));
`,
};

const REPRODUCTION = `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { total } from '../price.mjs';
test('counts quantities', () => assert.equal(total([{ price: 2, quantity: 3 }]), 6));
`;

export const reproduce = call('reproduce', {
  command: 'node --test test/quantity.test.mjs',
  files: [{ path: 'test/quantity.test.mjs', content: REPRODUCTION }],
});
export const change = (to: string) =>
  call('edit_file', { path: 'price.mjs', old_string: 'sum + price', new_string: to });
export const commit = call('git_commit', { message: 'Count quantities in totals' });
export const propose = call('propose', {
  title: 'Count quantities in totals',
  body: 'The sum left the quantity out.',
});

export const textOf = (card: Card): string =>
  `${card.title}\n${JSON.stringify(card.blocks)}\n${card.footer ?? ''}`;
export const byKey = (start: string) => (shown: readonly Shown[]) =>
  shown.find(({ key }) => key.startsWith(start));

const QUERY = 'shop_total_error_ratio';
const CAUSE = 'price.mjs leaves out the quantity';
let count = 0;
let incidents = 0;

/** A deployed shop with a diagnosed incident, in a thread of its project. */
export async function remediationWorld(
  github: GitHubPeer,
  options: {
    /** What the scripted model does about the incident, or about each of several, by root cause. */
    steps: unknown[] | Readonly<Record<string, unknown[]>>;
    final?: string;
    env?: Record<string, string>;
    database?: StoreKind;
    wrap?: (sandbox: Sandbox) => Sandbox;
    /** What the series is from the deployment of the fix on; undefined: nothing is measured. */
    valueAfterFix?: number | undefined;
    noMetrics?: boolean;
    /** Around the forge. */
    forge?: (forge: Forge) => Forge;
  },
) {
  count += 1;
  const repo = `shop-${count}`;
  const on = { owner: github.org, repo };
  const files = { ...shop, '.github/workflows/ci.yml': 'on: push\n' };
  const { sha } = await github.createRepository({ owner: on.owner, name: repo, files });
  const steps = Array.isArray(options.steps) ? { [CAUSE]: options.steps } : options.steps;
  const points = [{ t: Date.now() - 60_000, v: 0.5 }];
  const world = await testComio({
    script: {
      scenarios: [
        ...Object.entries(steps).map(([cause, doing]) => ({
          name: cause,
          when: `Remediate: ${cause}`,
          steps: doing,
          final: options.final ?? 'That is all.',
        })),
        {
          name: 'notes',
          when: 'notes please',
          steps: [
            call('create_file', { path: 'NOTES.md', content: 'Notes.\n' }),
            call('git_commit', { message: 'Add notes' }),
            call('publish', { title: 'Add notes', body: 'Asked for.' }),
          ],
          final: 'Notes are there.',
        },
        {
          name: 'long',
          when: 'take your time',
          steps: [call('run_command', { command: 'sleep 120' })],
          final: 'Took it.',
        },
        { name: 'look', when: 'look', steps: [call('list_directory', { path: '.' })], final: 'Looked.' },
      ],
    },
    forge: (options.forge ?? ((forge) => forge))(
      createGitHubForge({ ...github.env, GITHUB_TOKEN: undefined }, silentLog),
    ),
    ...(options.database ? { database: options.database } : {}),
    env: { WATCH_MINUTES: '0.02', WATCH_STEP_SECONDS: '0.2', ...options.env },
    ...(options.wrap ? { wrap: options.wrap } : {}),
    ...(options.noMetrics
      ? {}
      : { series: createMemoryMetrics(new Map([[QUERY, [{ labels: { app: 'shop' }, points }]]])) }),
    log: silentLog,
  });
  const { chat, db } = world;
  await chat.say(`import ${on.owner}/${repo}`);
  await chat.until((shown) => byKey('final:')(shown));
  await chat.say('deploy staging');
  const environment = async () =>
    db.selectFrom('environment').selectAll().where('name', '=', 'staging').executeTakeFirst();
  await chat.until((shown) =>
    shown.some(({ card }) => /live/i.test(textOf(card)) && card.tone === 'success'),
  );
  const { id: environmentId, project_id: projectId } =
    (await environment()) ?? failed('nothing was deployed');
  const conversation = await db.selectFrom('conversation').selectAll().executeTakeFirstOrThrow();
  const at = new Date(Date.now() - 60_000);

  /** An incident of the shop, diagnosed, with this root cause. */
  async function diagnosed(cause: string) {
    incidents += 1;
    const id = `incident-${incidents}`;
    const fingerprint = `f-${incidents}`;
    await db
      .insertInto('incident')
      .values({
        id,
        project_id: projectId,
        environment_id: environmentId,
        fingerprint,
        title: 'Totals are wrong',
        severity: 'critical',
        state: 'diagnosed',
        conversation_id: conversation.id,
        began_at: at,
        gathered_at: at,
      })
      .execute();
    await db
      .insertInto('signal')
      .values({
        id: `signal-${incidents}`,
        incident_id: id,
        kind: 'finding',
        fingerprint,
        title: 'Wrong totals',
        query: QUERY,
        labels: toJson({ app: 'shop' }),
        payload: toJson(findingOf({ fingerprint, environmentId, startsAt: at })),
        starts_at: at,
      })
      .execute();
    await db
      .insertInto('evidence')
      .values({
        incident_id: id,
        number: 1,
        kind: 'log',
        title: 'Totals differ',
        text: 'total 2, expected 6',
        data: '{}',
      })
      .execute();
    await db
      .insertInto('diagnosis')
      .values({
        id: `diagnosis-${incidents}`,
        incident_id: id,
        root_cause: cause,
        category: 'code',
        confidence: 0.8,
        said_confidence: 0.8,
        claims: toJson([{ text: 'Totals ignore quantities.', evidence: [1] }]),
        dropped: '[]',
        next_actions: '[]',
        model: 'm',
      })
      .execute();
    const button: Card = {
      title: 'Incident',
      tone: 'danger',
      blocks: [],
      actions: [{ id: 'incident-fix', label: 'Try a fix', style: 'primary', value: id }],
    };
    const remediation = () =>
      db.selectFrom('remediation').selectAll().where('incident_id', '=', id).orderBy('created_at').execute();
    return {
      id,
      fix: () => chat.press(button, 'incident-fix'),
      remediation,
      /** Polls the database until the newest remediation is in this state. */
      async reaches(state: string) {
        for (let tries = 0; tries < 600; tries += 1) {
          const row = (await remediation()).at(-1);
          if (row?.state === state) return row;
          await sleep(100);
        }
        throw new Error(`no remediation is ${state}: ${JSON.stringify((await remediation()).at(-1))}`);
      },
      incident: () => db.selectFrom('incident').selectAll().where('id', '=', id).executeTakeFirstOrThrow(),
    };
  }

  async function deployMain() {
    const before = (await environment())?.live_deployment_id;
    await chat.say('deploy staging');
    for (let tries = 0; tries < 600; tries += 1) {
      if ((await environment())?.live_deployment_id !== before) return;
      await sleep(100);
    }
    throw new Error('nothing new was deployed');
  }

  return {
    ...world,
    on,
    diagnosed,
    ...(await diagnosed(Object.keys(steps)[0] ?? CAUSE)),
    base: sha ?? '',
    points,
    async mergeAndDeploy() {
      const [pull] = await github.pullRequests(on);
      if (!pull) throw new Error('there is no pull request');
      const merged = await github.merge({ ...on, number: pull.number });
      await deployMain();
      return merged;
    },
    /** Without a pull request, as by somebody else. */
    async deployNow(changed: Readonly<Record<string, string>>) {
      await github.pushBranch({ ...on, branch: 'main', files: changed });
      await deployMain();
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

const findingOf = (of: { fingerprint: string; environmentId: string; startsAt: Date }) => ({
  fingerprint: of.fingerprint,
  status: 'firing',
  environmentId: of.environmentId,
  title: 'Wrong totals',
  query: QUERY,
  labels: { app: 'shop' },
  startsAt: of.startsAt.toISOString(),
  endsAt: null,
  value: 0.5,
  low: 0,
  high: 0.1,
  score: 1,
  scrapes: 3,
  imageId: null,
});

const failed = (reason: string): never => {
  throw new Error(reason);
};
