import { ensureDocker } from '#infra/docker/ensure-docker.ts';
import { createLogger } from '#observability/log.ts';
import { createDockerClient } from '#sandbox/docker-client.ts';
import { ensureImage } from '#sandbox/image/image.ts';
import { SandboxError } from '#sandbox/sandbox.ts';

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

/** For a program a person started: no Docker, or no image to be made, is a sentence and exit code 2, as from `npm start`. */
export function exitWithSentence(error: unknown): never {
  if (!(error instanceof SandboxError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}
