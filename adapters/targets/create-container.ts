import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { ContainerCreateOptions } from 'dockerode';
import { hasStatus, unless } from './daemon.ts';
import { TargetError } from './target.ts';

/** Of two that create a container of one name at the same time the daemon lets the first win; the other finds it. */
export async function createContainer(
  docker: Docker,
  name: string,
  options: ContainerCreateOptions,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await docker.createContainer({ ...options, name });
      return;
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
      // The name is taken: by one who created it just now, or by one whose removal has not ended yet.
      const found = await unless([404], () => docker.getContainer(name).inspect());
      if (found !== undefined && found.State.Status !== 'removing') return;
      if (attempt === 50) {
        throw new TargetError('start_failed', `Docker keeps the name ${name} for nothing it shows`, {
          cause: error,
        });
      }
      await delay(100);
    }
  }
}
