import { ensureDocker } from '#infra/docker/ensure-docker.ts';
import { createLogger } from '#observability/log.ts';
import { createDockerClient } from '#sandbox/docker-client.ts';
import { ensureImage } from '#sandbox/image/image.ts';

/** A Docker daemon that has the image of the sandboxes: on a fresh machine minutes of work, which `say` tells about. */
export async function prepareDocker(
  say: (line: string) => void,
  dockerHost: string | undefined,
): Promise<void> {
  await ensureDocker({ say, dockerHost });
  const started = performance.now();
  let built = false;
  await ensureImage(createDockerClient(dockerHost), {
    log: createLogger('error'),
    onProgress: (phase) => {
      if (!built) say('The image of the sandboxes is built once; that takes a minute or two.');
      built = true;
      say(`  ${phase}`);
    },
  });
  if (built)
    say(`The image of the sandboxes is ready (${Math.round((performance.now() - started) / 1000)} s).`);
}
