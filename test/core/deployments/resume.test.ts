import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Forge } from '#adapters/forge/forge.ts';
import { createMemoryForge } from '#adapters/forge/memory.ts';
import { createMemoryTarget } from '#adapters/targets/memory.ts';
import type { Target } from '#adapters/targets/target.ts';
import { createApprovals } from '#core/approvals/approvals.ts';
import { createOutbox } from '#core/conversations/outbox.ts';
import { createDeployments, type Deployments } from '#core/deployments/deployments.ts';
import { createHosts } from '#core/deployments/host.ts';
import type { Database } from '#core/store/database.ts';
import type { Sender } from '#core/store/queues.ts';
import { toJson } from '#core/store/storable.ts';
import { createGitTransport } from '#sandbox/git-transport.ts';
import { openTestDatabase } from '../../support/database.ts';
import { goodApp } from '../../support/example-app.ts';
import { createGitServer, type GitServer } from '../../support/git-server.ts';
import { listen } from '../../support/listen.ts';
import { silentLog } from '../../support/silent-log.ts';
import { createTempDir } from '../../support/temp-dir.ts';

const PERSON = toJson({ id: 'ada', name: 'Ada', claims: [] });
const never = new AbortController().signal;

describe('a deployment that is taken over', () => {
  const stack = new AsyncDisposableStack();
  let database: Database;
  let server: GitServer;
  let directory: string;
  beforeAll(async () => {
    database = stack.use(await openTestDatabase('postgres'));
    server = stack.use(await createGitServer());
    directory = stack.use(await createTempDir()).path;
  });
  afterAll(() => stack.disposeAsync());

  async function commit(repository: string, version: string): Promise<string> {
    const work = await mkdtemp(`${directory}/work-`);
    await server.git(work, 'clone', '-q', repository, '.');
    for (const [path, content] of Object.entries(goodApp(version)))
      await writeFile(`${work}/${path}`, content);
    await server.git(work, 'add', '.');
    await server.git(work, 'commit', '-q', '-m', `Say ${version}`);
    await server.git(work, 'push', '-q', 'origin', 'HEAD:main');
    const sha = await server.git(work, 'rev-parse', 'HEAD');
    await rm(work, { recursive: true });
    return sha;
  }

  /** A project with a staging environment; `around` sees every call of the target. */
  async function world(name: string, around: (target: Target) => Target = (target) => target) {
    const { db } = database;
    const { url, directory: bare } = await server.create(name);
    await commit(bare, 'first');
    const ids = { project: randomUUID(), conversation: randomUUID(), environment: randomUUID() };
    await db
      .insertInto('project')
      .values({
        id: ids.project,
        name,
        description: '',
        origin: 'imported',
        forge_owner: 'acme',
        forge_name: name,
        clone_url: url,
        default_branch: 'main',
      })
      .execute();
    const address = { surface: 'slack' as const, key: name, at: {} };
    await db
      .insertInto('conversation')
      .values({ id: ids.conversation, surface: 'slack', key: name, address: toJson(address) })
      .execute();
    await db
      .insertInto('environment')
      .values({ id: ids.environment, project_id: ids.project, name: 'staging', host: `${name}-staging` })
      .execute();
    const asked: string[] = [];
    const own = new Set<string>();
    const jobs: Sender = {
      async send(_queue, payload) {
        if ('deploymentId' in payload && own.has(payload.deploymentId)) asked.push(payload.deploymentId);
      },
    };
    const outbox = createOutbox({
      db,
      jobs,
      surfaces: () => new Map(),
      redact: (text) => text,
      log: silentLog,
    });
    const forge: Forge = {
      ...createMemoryForge(directory),
      deployments: undefined,
      credentials: async () => server.credentials,
    };
    const target = createMemoryTarget();
    const went: string[] = [];
    const make = (): Deployments =>
      createDeployments({
        db,
        ownsAlone: true,
        jobs,
        outbox,
        approvals: createApprovals({ db, jobs, outbox, log: silentLog }),
        target: around(target),
        forge,
        transport: createGitTransport({ dataDir: `${directory}/mirrors`, log: silentLog }),
        hosts: createHosts({ domain: 'localhost', port: 3000 }),
        limits: { memoryMb: 256, cpus: 1, pids: 64 },
        stopRun: { role: 'operator', handle: async () => ({ outcome: 'answered' }) },
        onLive: async (_trx, { deploymentId }) => void went.push(deploymentId),
        timing: { health: { everyMs: 20, limitMs: 30_000 }, drainMs: 3000 },
        log: silentLog,
      });
    const ask = async (): Promise<string> => {
      const id = randomUUID();
      own.add(id);
      await db
        .insertInto('deployment')
        .values({
          id,
          environment_id: ids.environment,
          kind: 'deploy',
          state: 'queued',
          conversation_id: ids.conversation,
          message_id: id,
          requested_by: PERSON,
          phases: toJson([]),
        })
        .execute();
      return id;
    };
    const row = (id: string) =>
      db.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    return {
      make,
      ask,
      row,
      target,
      went,
      /** Deployments of this world whose job was asked for. */
      asked,
      bare,
      host: `${name}-staging.localhost`,
      environment: ids.environment,
    };
  }

  it('ends once: the worker that lost it changes nothing any more', async () => {
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    let starts = 0;
    const at = await world('superseded', (target) => ({
      ...target,
      async start(spec, signal) {
        const instance = await target.start(spec, signal);
        starts += 1;
        if (starts === 1) {
          reached.resolve();
          await held.promise;
        }
        return instance;
      },
    }));
    await using _target = at.target;
    using first = at.make();
    using second = at.make();
    const id = await at.ask();
    const lost = first.advance(id, never).then(
      () => 'returned',
      (error: Error) => error.name,
    );
    await reached.promise;
    await second.advance(id, never);
    const after = await at.row(id);
    expect(after).toMatchObject({ state: 'live', epoch: 2 });
    held.resolve();
    expect(['returned', 'Superseded']).toContain(await lost);
    expect(await at.row(id)).toEqual(after);
    expect(at.went).toEqual([id]);
    expect((await at.target.list()).map(({ key }) => key)).toEqual([id]);
  });

  it('goes on from wherever it was cut off, with one instance and one swap', async () => {
    let left = Number.POSITIVE_INFINITY;
    const spend = async <T>(call: () => Promise<T>): Promise<T> => {
      left -= 1;
      if (left < 0) throw new Error('killed');
      return call();
    };
    const at = await world('resumed', (target) => ({
      ...target,
      build: (request) => spend(() => target.build(request)),
      start: (spec, signal) => spend(() => target.start(spec, signal)),
      instance: (key) => spend(() => target.instance(key)),
    }));
    await using _target = at.target;
    const ids: string[] = [];
    for (let calls = 0; calls < 4; calls += 1) {
      const id = await at.ask();
      ids.push(id);
      left = calls;
      using killed = at.make();
      await expect(killed.advance(id, never)).rejects.toThrow('killed');
      left = Number.POSITIVE_INFINITY;
      using next = at.make();
      await next.advance(id, never);
      expect(await at.row(id)).toMatchObject({ state: 'live', epoch: 2 });
    }
    expect(at.went).toEqual(ids);
    expect((await at.target.list()).map(({ key }) => key).sort()).toEqual(ids.toSorted());
  });

  it('answers every request while one takes the place of another, and removes what was replaced', async () => {
    const at = await world('swapped');
    await using _target = at.target;
    using deployments = at.make();
    const first = await at.ask();
    await deployments.advance(first, never);
    await using front = await listen(deployments.proxy);
    let over = false;
    const seen = new Map<string, number>();
    const client = async () => {
      while (!over) {
        const { status, body } = await front.get(at.host, '/');
        const key = `${status} ${body}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
      }
    };
    const clients = Array.from({ length: 4 }, client);
    await commit(at.bare, 'second');
    const second = await at.ask();
    await deployments.advance(second, never);
    await expect
      .poll(
        async () => {
          await deployments.advance(first, never);
          return (await at.target.list()).map(({ key }) => key);
        },
        { timeout: 20_000 },
      )
      .toEqual([second]);
    await expect
      .poll(() => [...seen.values()].reduce((a, b) => a + b, 0), { timeout: 60_000 })
      .toBeGreaterThan(2000);
    over = true;
    await Promise.all(clients);
    expect([...seen.keys()].sort()).toEqual(['200 first', '200 second']);
    expect(await at.row(first)).toMatchObject({ state: 'replaced', drain_until: null });
  });

  it('removes an instance that no row wants', async () => {
    const at = await world('swept');
    await using _target = at.target;
    using deployments = at.make();
    const id = await at.ask();
    await deployments.advance(id, never);
    const { image } = await database.db
      .selectFrom('deployment')
      .innerJoin('release', 'release.id', 'deployment.release_id')
      .select('release.image')
      .where('deployment.id', '=', id)
      .executeTakeFirstOrThrow();
    const limits = { memoryMb: 256, cpus: 1, pids: 64 };
    await at.target.start({
      key: 'nobody',
      image: image ?? '',
      port: 3000,
      labels: {},
      env: { PORT: '0' },
      limits,
    });
    expect(await deployments.sweep()).toEqual(['nobody']);
    expect((await at.target.list()).map(({ key }) => key)).toEqual([id]);
  });

  it('starts again what is live and has ended, and says so in one message', async () => {
    const at = await world('revived');
    await using _target = at.target;
    using deployments = at.make();
    const id = await at.ask();
    await deployments.advance(id, never);
    await using front = await listen(deployments.proxy);
    const said = () =>
      database.db
        .selectFrom('outbox')
        .select(['content'])
        .where('key', '=', `revived:${id}`)
        .execute()
        .then((rows) => rows.map(({ content }) => JSON.stringify(content)));
    await deployments.advance(id, never);
    expect(await said()).toEqual([]);

    await front.get(at.host, '/die');
    await expect.poll(async () => (await at.target.instance(id))?.state).toBe('exited');
    at.asked.splice(0);
    await deployments.sweep();
    expect(at.asked).toEqual([id]);
    await deployments.advance(id, never);
    expect(await front.get(at.host, '/')).toMatchObject({ status: 200, body: 'first' });
    const [message, ...more] = await said();
    expect(more).toEqual([]);
    for (const part of ['exit code 7', 'was started again', '2 of 2', 'dying'])
      expect(message).toContain(part);

    await at.target.stop(id, 0);
    await deployments.advance(id, never);
    expect(await front.get(at.host, '/')).toMatchObject({ status: 200 });
    const [edited, ...others] = await said();
    expect(others).toEqual([]);
    expect(edited).toContain('was gone');
    expect(at.went).toEqual([id]);
  });
});
