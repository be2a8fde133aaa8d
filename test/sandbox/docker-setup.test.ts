import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { ensureDocker } from '#infra/docker/ensure-docker.ts';
import { createDockerDriver } from '#sandbox/drivers/docker.ts';
import { ensureImage } from '#sandbox/image/image.ts';
import { specFor, uniqueKey } from '#test/contracts/sandbox.ts';
import { dockerClient, dockerHost } from '#test/support/docker.ts';
import { silentLog } from '#test/support/silent-log.ts';

it('leaves a daemon that answers alone', async () => {
  const said: string[] = [];
  await ensureDocker({ say: (line) => said.push(line), dockerHost });
  expect(said).toEqual([]);
});

it('says which daemon does not answer, and installs none in its place', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const nobody = `tcp://127.0.0.1:${port}`;
  await expect(ensureDocker({ say: () => undefined, dockerHost: nobody })).rejects.toThrow(nobody);
  await using driver = createDockerDriver({ dockerHost: nobody, log: silentLog });
  const unavailable = expect.objectContaining({ code: 'driver_unavailable' });
  await expect(driver.create(specFor(uniqueKey()))).rejects.toEqual(unavailable);
  await expect(driver.list()).rejects.toEqual(unavailable);
  expect(() => createDockerDriver({ dockerHost: 'ssh://somewhere', log: silentLog })).toThrow(
    'ssh://somewhere',
  );
});

it('builds the image once', async () => {
  const ensure = async () => {
    const phases: string[] = [];
    const tag = await ensureImage(dockerClient(), {
      log: silentLog,
      onProgress: (phase) => phases.push(phase),
    });
    return { tag, phases };
  };
  const { tag } = await ensure();
  expect(await ensure()).toEqual({ tag, phases: [] });
  const { Config } = await dockerClient().getImage(tag).inspect();
  expect(Config.User).toBe('10001:10001');
});
