import { targets } from '#adapters/targets/index.ts';
import type { Target } from '#adapters/targets/target.ts';
import type { Logger } from '#observability/log.ts';
import { createDockerClient } from '#sandbox/docker-client.ts';
import { ensureImage } from '#sandbox/image/image.ts';
import { namespaceOf } from './namespace.ts';

/** Apps on the Docker of this host. What another database deployed there is none of this one's. */
export function createHostTarget(options: {
  dockerHost: string | undefined;
  databaseUrl: string | undefined;
  dataDir: string;
  log: Logger;
}): Target {
  const { dockerHost, log } = options;
  const docker = createDockerClient(dockerHost);
  const onProgress = (phase: string) => log.info({ phase }, 'the base image of deployed apps');
  return targets.docker({
    docker,
    // The image of the sandboxes has Node and Python, too.
    baseImage: () => ensureImage(docker, { log, onProgress }),
    log,
    namespace: namespaceOf(options),
  });
}
