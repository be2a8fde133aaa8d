import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LlmError, type Provider } from '#adapters/llm/llm.ts';
import { createMemoryMetrics } from '#adapters/queries/memory.ts';
import type { MetricsSource, Series } from '#adapters/queries/metrics-source.ts';
import { topics } from '#core/events.ts';
import { createDiagnosis } from '#core/incidents/diagnosis.ts';
import type { DiagnosisAnswer } from '#core/incidents/diagnosis-schema.ts';
import type { ReadLogs } from '#core/incidents/evidence/logs.ts';
import { queryFor, SERIES } from '#core/incidents/series.ts';
import type { Database } from '#core/store/database.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { createGitTransport, type GitTransport } from '#sandbox/git-transport.ts';
import * as git from '#sandbox/workspace-git.ts';
import { specFor, uniqueKey } from '#test/contracts/sandbox.ts';
import { openTestDatabase } from '#test/support/database.ts';
import { createGitServer, type GitServer } from '#test/support/git-server.ts';
import { silentLog } from '#test/support/silent-log.ts';
import { createTempDir } from '#test/support/temp-dir.ts';
import { deploy, diagnosing, finding, type IncidentsWorld, openIncidents, textOf } from './harness.ts';

const MINUTE = 60_000;

describe('the diagnosis of an incident', { timeout: 120_000 }, () => {
  const resources = new AsyncDisposableStack();
  let database: Database;
  let transport: GitTransport;
  let server: GitServer;
  let repository: { url: string; good: string; bad: string };
  let apps = 0;

  beforeAll(async () => {
    database = resources.use(await openTestDatabase('postgres'));
    server = resources.use(await createGitServer());
    const directory = resources.use(await createTempDir());
    transport = createGitTransport({ dataDir: directory.path, log: silentLog });
    repository = await seed();
  });
  afterAll(() => resources.disposeAsync());

  /** A remote whose second commit is the culprit. */
  async function seed() {
    await using driver = createMemoryDriver();
    const { url } = await server.create(uniqueKey());
    const sandbox = await driver.create(specFor(uniqueKey()));
    await git.init(sandbox, 'main');
    const commit = async (content: string, message: string) => {
      await sandbox.files.write('orders.js', content);
      const author = { name: 'Grace', email: 'grace@example.org' };
      return (await git.commitAll(sandbox, { message, author })) ?? '';
    };
    const good = await commit('export const find = (id) => byId.get(id);\n', 'Orders');
    const bad = await commit(
      'export const find = (id) => all.find((o) => o.id === id);\n',
      'Simplify lookup',
    );
    const remote = { url, credentials: server.credentials };
    await transport.push(sandbox, { ...remote, branch: 'main', sha: bad });
    await sandbox.destroy();
    return { url, good, bad };
  }

  /** Twenty minutes of 12 to 14 ms, then 450 ms: the onset is a minute before the end. */
  function latencyOf(app: string, onset: Date): MetricsSource {
    const series = (name: string, value: (t: number) => number): [string, Series[]] => {
      const spec = SERIES.find((one) => one.name === name);
      const points = Array.from({ length: 88 }, (_, index) => onset.getTime() + (index - 80) * 15_000).map(
        (t) => ({ t, v: value(t) }),
      );
      return [queryFor(spec?.query ?? '', app, 15_000), [{ labels: {}, points }]];
    };
    return createMemoryMetrics(
      new Map([
        series('latency_p95', (t) =>
          t < onset.getTime() ? 0.012 + (((onset.getTime() - t) / 15_000) % 3) / 1000 : 0.45,
        ),
        series('memory', () => 100 * 2 ** 20),
      ]),
    );
  }

  const LOGS: ReadLogs = async (_id, { until }) => {
    const before = Array.from(
      { length: 40 },
      (_, n) => `{"level":"info","msg":"order ${n} found","ms":${n}}`,
    );
    const after = [
      ...Array.from({ length: 20 }, (_, n) => `{"level":"info","msg":"order ${n} found","ms":${400 + n}}`),
      ...Array.from(
        { length: 7 },
        (_, n) => `{"level":"warn","msg":"slow lookup of order ${n}","key":"sk-live-secret"}`,
      ),
    ];
    return until ? before : after;
  };

  const redact = (text: string) => text.replaceAll('sk-live-secret', '[redacted]');

  /** Deploys an app of its own, with everything there is to see, and tells of its latency. */
  async function break_(options: { model?: Provider | undefined; metrics?: MetricsSource; logs?: ReadLogs }) {
    apps += 1;
    const app = `shop-${apps}`;
    const onset = new Date(Date.now() - 2 * MINUTE);
    const place = await deploy(
      database,
      app,
      [
        { sha: repository.good, message: 'Orders', liveAt: new Date(onset.getTime() - 60 * MINUTE) },
        { sha: repository.bad, message: 'Simplify lookup', liveAt: new Date(onset.getTime() - MINUTE) },
      ],
      repository.url,
    );
    const world = await openIncidents(database, {
      metrics: options.metrics ?? latencyOf(app, onset),
      logs: options.logs ?? LOGS,
      transport: withCredentials(transport),
      model: options.model,
      redact,
    });
    await world.start();
    const payload = finding(place.environmentId, { fingerprint: app, startsAt: onset.toISOString() });
    await world.bus.publish({ id: app, topic: topics.finding, key: app, payload });
    await world.taken.reaches(1);
    const { id } = await database.db
      .selectFrom('incident')
      .select('id')
      .where('environment_id', '=', place.environmentId)
      .executeTakeFirstOrThrow();
    return { world, incidentId: id, place };
  }

  /** The server of the tests asks for a password, and no forge is there to give one. */
  const withCredentials = (inner: GitTransport): GitTransport => ({
    ...inner,
    changes: (request) => inner.changes({ ...request, credentials: server.credentials }),
  });

  const settled = (world: IncidentsWorld, incidentId: string) =>
    world.shows(incidentId, ({ footer }) => footer?.startsWith('Diagnosed') === true);
  const evidenceOf = (incidentId: string) =>
    database.db
      .selectFrom('evidence')
      .selectAll()
      .where('incident_id', '=', incidentId)
      .orderBy('number')
      .execute();
  const diagnosisOf = (incidentId: string) =>
    database.db.selectFrom('diagnosis').selectAll().where('incident_id', '=', incidentId).executeTakeFirst();

  /** In the order of the sources: 1 the finding, 2 latency, 3 the new line, 4 lines, 5 and 6 deployments, 7 the commit. */
  const SOUND: DiagnosisAnswer = {
    rootCause: { text: 'The commit replaced the map by `all.find(`, a scan of all orders.', evidence: [7] },
    category: 'code',
    confidence: 0.99,
    claims: [
      { text: 'Latency p95 rose to 450 ms.', evidence: [2] },
      { text: 'A warning "slow lookup of order" appeared 7 times.', evidence: [3] },
      { text: 'It went live 60 s before the incident began.', evidence: [5] },
    ],
    nextActions: ['Roll back production.'],
  };

  it('gathers numbered evidence from every source, and the sound parts of an answer stand', async () => {
    const { world, incidentId } = await break_({ model: diagnosing(SOUND) });
    await using _world = world;
    const card = await settled(world, incidentId);
    const evidence = await evidenceOf(incidentId);
    expect(evidence.map(({ kind }) => kind)).toEqual([
      'signal',
      'metric',
      'log',
      'log',
      'deployment',
      'deployment',
      'commit',
    ]);
    const [, latency, fresh, , live, , commit] = evidence;
    expect(latency?.title).toBe('latency p95: 13 ms before, 450 ms after');
    expect(fresh?.text).toContain('0 times before, 7 times after');
    expect(fresh?.text).toContain('[redacted]');
    expect(fresh?.text).not.toContain('sk-live-secret');
    expect(live?.text).toContain('asked for by Ada');
    expect(commit?.text).toContain('+export const find = (id) => all.find((o) => o.id === id);');
    for (const { text } of evidence) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8192);
    expect(await diagnosisOf(incidentId)).toMatchObject({
      root_cause: SOUND.rootCause?.text,
      category: 'code',
      confidence: 0.9,
      said_confidence: 0.99,
      dropped: [],
      model: 'scripted',
    });
    const text = textOf(card);
    expect(text).toContain('high (90 %)');
    expect(text).toContain('Latency p95 rose to 450 ms. \\\\[2\\\\]');
    expect(card.actions.map(({ id }) => id)).toEqual(['incident-fix', 'feedback-up', 'feedback-down']);
  });

  it('leaves out what a model invents, caps its confidence, and says so in the thread', async () => {
    const { world, incidentId } = await break_({
      model: diagnosing({
        ...SOUND,
        confidence: 1,
        claims: [
          ...SOUND.claims,
          { text: 'The database had 9,731 open connections.', evidence: [2] },
          { text: 'The log says "connection pool exhausted".', evidence: [3] },
          { text: 'Redis restarted.', evidence: [42] },
          { text: 'The network was slow.', evidence: [] },
          { text: 'Latency p95 rose to 450 s.', evidence: [2] },
        ],
      }),
    });
    await using _world = world;
    const card = await settled(world, incidentId);
    const diagnosis = await diagnosisOf(incidentId);
    expect(diagnosis?.claims).toEqual(SOUND.claims);
    expect(diagnosis?.dropped.map(({ why }) => why)).toEqual([
      'the number 9,731 is not in the evidence cited for it',
      '“connection pool exhausted” is not in the evidence cited for it',
      '“Redis restarted.” cites evidence 42, which there is not',
      '“The network was slow.” cites no evidence',
      'the number 450 s is not in the evidence cited for it',
    ]);
    expect(diagnosis?.confidence).toBe(0.6);
    expect(textOf(card)).toContain('5 statements without evidence were left out');
    expect(textOf(card)).toContain('capped: part of what was said is not in the evidence');
  });

  it('is capped further on evidence of one kind, and on effects alone; without a claim nothing was found', async () => {
    const one = { ...SOUND, claims: [{ text: 'The diff has `all.find(`.', evidence: [7] }] };
    const effects = {
      ...SOUND,
      rootCause: { text: 'Requests got slow.', evidence: [2] },
      claims: [{ text: 'Latency p95 rose to 450 ms.', evidence: [2] }],
    };
    const none = { ...SOUND, claims: [{ text: 'There were 555 restarts.', evidence: [1] }] };
    const nothing = { ...SOUND, rootCause: null, claims: [], confidence: 0.8 };
    for (const [answer, expected] of [
      [one, { confidence: 0.5 }],
      [effects, { confidence: 0.3 }],
      [none, { root_cause: null, category: 'unknown', confidence: 0 }],
      [nothing, { root_cause: null, category: 'unknown', confidence: 0 }],
    ] as const) {
      const { world, incidentId } = await break_({ model: diagnosing(answer) });
      await using _world = world;
      const card = await settled(world, incidentId);
      expect(await diagnosisOf(incidentId)).toMatchObject(expected);
      if ('root_cause' in expected) {
        expect(textOf(card)).toContain('Nothing found.');
        expect(card.actions.map(({ id }) => id)).not.toContain('incident-fix');
      }
    }
  });

  it('goes on without a source that fails, and says which', async () => {
    const { world, incidentId } = await break_({
      model: diagnosing({ ...SOUND, rootCause: null, claims: [] }),
      logs: async () => {
        throw new Error('the daemon is away');
      },
    });
    await using _world = world;
    const card = await settled(world, incidentId);
    expect(textOf(card)).toContain('logs could not be read: the daemon is away');
    expect((await evidenceOf(incidentId)).map(({ kind }) => kind)).not.toContain('log');
  });

  it('asks once more for an answer that does not fit, then says so; without a model the evidence stays', async () => {
    {
      const { world, incidentId } = await break_({ model: diagnosing({ wrong: true }, SOUND as never) });
      // Closed before the next one: they work on one database, and this one has a model.
      await using _world = world;
      await settled(world, incidentId);
      expect((await diagnosisOf(incidentId))?.category).toBe('code');
    }

    const down: Provider = {
      name: 'down',
      // biome-ignore lint/correctness/useYield: it fails before it says anything
      async *stream() {
        throw new LlmError('auth', 'The key was refused.');
      },
    };
    for (const [model, problem] of [
      [diagnosing({ wrong: true }, { wrong: 'again' }), 'The model gave no usable diagnosis, twice'],
      [down, 'The model could not be asked: The key was refused.'],
      [undefined, 'No model is configured'],
    ] as const) {
      const broken = await break_({ model });
      await using _broken = broken.world;
      const card = await settled(broken.world, broken.incidentId);
      expect(textOf(card)).toContain(problem);
      expect(textOf(card)).toContain('latency p95');
      expect(await diagnosisOf(broken.incidentId)).toBeUndefined();
    }
  });

  it('is written by one worker: one that was overtaken while it asked writes nothing', async () => {
    const { world, incidentId } = await break_({ model: undefined });
    await settled(world, incidentId);
    await world[Symbol.asyncDispose]();
    // As a process that was killed after it gathered evidence leaves it.
    await database.db
      .updateTable('incident')
      .set({ state: 'diagnosing', problem: null })
      .where('id', '=', incidentId)
      .execute();
    const evidence = await evidenceOf(incidentId);
    const asked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const slow: Provider = {
      name: 'slow',
      async *stream(request) {
        asked.resolve();
        await release.promise;
        yield* diagnosing({ ...SOUND, category: 'load' }).stream(request);
      },
    };
    const gathering = async () => {
      throw new Error('the evidence was gathered again');
    };
    const shown: string[] = [];
    const worker = (model: Provider) =>
      createDiagnosis({
        db: database.db,
        outbox: {
          answer: async () => undefined,
          live: async (_trx, _conversation, key) => void shown.push(key),
          react: async () => undefined,
          deliver: async () => undefined,
        },
        sources: [{ name: 'all', gather: gathering }],
        model: { provider: model, name: 'scripted' },
        redact,
        log: silentLog,
      });
    const { signal } = new AbortController();
    const first = worker(slow).advance(incidentId, signal);
    await asked.promise;
    await worker(diagnosing(SOUND)).advance(incidentId, signal);
    release.resolve();
    await first;
    expect((await diagnosisOf(incidentId))?.category).toBe('code');
    expect(await evidenceOf(incidentId)).toEqual(evidence);
    await worker(diagnosing(SOUND)).advance(incidentId, signal);
    expect(new Set(shown)).toEqual(new Set([`incident:${incidentId}`]));
  });
});
