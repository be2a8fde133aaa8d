import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDockerTarget } from '#adapters/targets/docker.ts';
import type { Built, Target } from '#adapters/targets/target.ts';
import { askSoon, code, NODE_PROJECT, specFor, tarOf, uniqueKey } from '#test/contracts/target.ts';
import { silentLog } from '#test/support/silent-log.ts';
import { createDockerWorld, type DockerWorld } from './docker-world.ts';

let world: DockerWorld;
let target: Target;
let built: Built;
beforeAll(async () => {
  world = createDockerWorld();
  target = world.makeTarget();
  built = await target.build({ key: uniqueKey(), source: await tarOf(NODE_PROJECT) });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const containersOf = async (): Promise<string[]> => {
  const filters = JSON.stringify({ label: [`comio.target=${world.namespace}`] });
  return (await world.docker.listContainers({ all: true, filters })).map(({ Names }) => Names[0] ?? '');
};

/**
 * A client whose process stops for good when it is about to ask for `method` on a container that `concerns`: what it
 * asked before has happened, nothing after does. `reached` resolves then.
 */
function stoppingAt(docker: Docker, method: 'start' | 'exec', concerns: (name: string) => boolean) {
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const never = (): Promise<never> => {
    resolve();
    return new Promise(() => undefined);
  };
  const client = new Proxy(docker, {
    get(real, property) {
      if (property !== 'getContainer') return Reflect.get(real, property);
      return (name: string) =>
        new Proxy(real.getContainer(name), {
          get: (container, called) =>
            called === method && concerns(name) ? never : Reflect.get(container, called, container),
        });
    },
  });
  return { client, reached };
}

const isGate = (name: string): boolean => name.endsWith('-gate');

describe('a start that was cut short', () => {
  it.each([
    ['before its gate ran', 'start', isGate],
    ['before its network was closed', 'exec', isGate],
    ['between making the container and starting it', 'start', (name: string) => !isGate(name)],
  ] as const)('is gone on with: %s', async (_, method, concerns) => {
    const spec = specFor(built);
    const { client, reached } = stoppingAt(world.docker, method, concerns);
    const cut = world.makeTarget(client).start(spec);
    await Promise.race([reached, cut]);
    expect(await target.instance(spec.key)).toBeUndefined();
    expect(await target.list()).toEqual([]);
    const instance = await target.start(spec);
    expect(await askSoon(instance)).toBe('hello');
    expect(await containersOf()).toHaveLength(2);
    await target.stop(spec.key, 0);
    expect(await containersOf()).toEqual([]);
  });

  it('leaves nothing when it is stopped instead', async () => {
    const spec = specFor(built);
    const { client, reached } = stoppingAt(world.docker, 'start', (name) => !isGate(name));
    await Promise.race([reached, world.makeTarget(client).start(spec)]);
    expect(await containersOf()).toHaveLength(2);
    await target.stop(spec.key, 0);
    expect(await containersOf()).toEqual([]);
  });
});

it('starts several at once on a daemon that has no network of it yet', async () => {
  await using fresh = createDockerWorld();
  const starting = Array.from({ length: 4 }, () => fresh.makeTarget().start(specFor(built)));
  const outcomes = await Promise.allSettled(starting);
  expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
  for (const instance of await fresh.makeTarget().list()) expect(await askSoon(instance)).toBe('hello');
});

describe('what the daemon is told', () => {
  it('has limits, no ports, bounded logs, and no restart by itself', async () => {
    const instance = await target.start(specFor(built, { limits: { memoryMb: 96, cpus: 0.5, pids: 40 } }));
    const { HostConfig, NetworkSettings, Config } = await world.docker.getContainer(instance.id).inspect();
    expect(HostConfig).toMatchObject({
      Memory: 96 * 1024 * 1024,
      MemorySwap: 96 * 1024 * 1024,
      NanoCpus: 500_000_000,
      PidsLimit: 40,
      ReadonlyRootfs: true,
      Privileged: false,
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    });
    expect(NetworkSettings.Ports).toEqual({});
    expect(Config.Labels).toMatchObject({ project: 'shop' });
    const filters = JSON.stringify({ label: [`comio.target=${world.namespace}`] });
    expect(await world.docker.listNetworks({ filters })).toEqual([
      expect.objectContaining({
        Internal: true,
        Options: { 'com.docker.network.bridge.enable_icc': 'false' },
      }),
    ]);
    await target.stop(instance.key, 0);
  });

  it('does not show to another namespace', async () => {
    await using other = createDockerWorld();
    const instance = await target.start(specFor(built));
    expect(await other.makeTarget().list()).toEqual([]);
    expect(await other.makeTarget().instance(instance.key)).toBeUndefined();
    await other.makeTarget().stop(instance.key, 0);
    expect((await target.instance(instance.key))?.state).toBe('running');
    await target.stop(instance.key, 0);
  });
});

it('shows labels of the start alone, whatever the image says', async () => {
  const Dockerfile = `FROM ${built.image}\nLABEL project=another comio.target.key=forged comio.target.labels={}\n`;
  const own = await target.build({ key: uniqueKey(), source: await tarOf({ Dockerfile }) });
  const instance = await target.start(specFor(own));
  expect(instance.labels).toEqual({ project: 'shop' });
  expect((await target.list()).map(({ key }) => key)).toEqual([instance.key]);
  await target.stop(instance.key, 0);
});

it('takes no image with a volume, which would be a disk without a limit', async () => {
  const Dockerfile = `FROM ${built.image}\nVOLUME /data\n`;
  const building = target.build({ key: uniqueKey(), source: await tarOf({ Dockerfile }) });
  await expect(building).rejects.toEqual(
    code('build_failed', { message: expect.stringContaining('VOLUME /data') }),
  );
});

it('takes an app whose gate has ended for ended: nothing reaches it', async () => {
  const instance = await target.start(specFor(built));
  const { Name } = await world.docker.getContainer(instance.id).inspect();
  await world.docker.getContainer(`${Name.slice(1)}-gate`).kill();
  expect(await target.instance(instance.key)).toMatchObject({ state: 'exited', exitCode: 137 });
  await target.stop(instance.key, 0);
});

it('limits the memory of what is run while an image is built', async () => {
  const Dockerfile = `FROM ${await world.baseImage()}\nRUN python3 -c "b'x' * (3 * 1024 ** 3)"\n`;
  const building = target.build({ key: uniqueKey(), source: await tarOf({ Dockerfile }) });
  await expect(building).rejects.toEqual(code('build_failed', { message: expect.stringContaining('137') }));
});

it('ends a build that is called off', async () => {
  const calling = new AbortController();
  const Dockerfile = `FROM ${await world.baseImage()}\nRUN sleep 601\n`;
  const building = target.build({
    key: uniqueKey(),
    source: await tarOf({ Dockerfile }),
    onProgress: (line) => line.includes('RUN sleep') && calling.abort(),
    signal: calling.signal,
  });
  await expect(building).rejects.toMatchObject({ name: 'AbortError' });
  const running = async () => (await world.docker.listContainers()).map(({ Command }) => Command);
  await expect.poll(running).not.toContainEqual(expect.stringContaining('sleep 601'));
});

it('says that no daemon answers', async () => {
  const nobody = createDockerTarget({
    docker: new Docker({ host: '127.0.0.1', port: 1 }),
    baseImage: async () => 'none',
    log: silentLog,
  });
  await expect(nobody.list()).rejects.toEqual(code('unavailable'));
  await expect(nobody.build({ key: 'a', source: Buffer.alloc(0) })).rejects.toEqual(code('unavailable'));
});
