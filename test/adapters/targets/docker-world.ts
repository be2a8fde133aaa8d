import { randomBytes } from 'node:crypto';
import type Docker from 'dockerode';
import { createDockerTarget } from '#adapters/targets/docker.ts';
import type { Target } from '#adapters/targets/target.ts';
import { ensureImage } from '#sandbox/image/image.ts';
import { dockerClient } from '#test/support/docker.ts';
import { silentLog } from '#test/support/silent-log.ts';

export interface DockerWorld extends AsyncDisposable {
  docker: Docker;
  namespace: string;
  baseImage: () => Promise<string>;
  /** By a client that does not do all it is asked, where a test needs one. */
  makeTarget: (docker?: Docker) => Target;
}

/** A namespace of its own on the daemon; everything in it is removed when disposed. */
export function createDockerWorld(namespace = `comio-test-${randomBytes(6).toString('hex')}`): DockerWorld {
  const docker = dockerClient();
  const baseImage = () => ensureImage(docker, { log: silentLog, onProgress: () => undefined });
  return {
    docker,
    namespace,
    baseImage,
    makeTarget: (client = docker) =>
      createDockerTarget({ docker: client, baseImage, log: silentLog, namespace }),
    async [Symbol.asyncDispose]() {
      const ours = JSON.stringify({ label: [`comio.target=${namespace}`] });
      for (const { Id } of await docker.listContainers({ all: true, filters: ours })) {
        await docker.getContainer(Id).remove({ force: true, v: true });
      }
      for (const { Id } of await docker.listNetworks({ filters: ours })) await docker.getNetwork(Id).remove();
      const images = JSON.stringify({ reference: [`${namespace}-app`] });
      const tags = (await docker.listImages({ filters: images })).flatMap(({ RepoTags }) => RepoTags ?? []);
      for (const tag of tags.filter((tag) => tag.startsWith(`${namespace}-app:`)))
        await docker.getImage(tag).remove();
    },
  };
}
