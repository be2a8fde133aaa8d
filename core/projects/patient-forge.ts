import { setTimeout as sleep } from 'node:timers/promises';
import { type Forge, ForgeError } from '#adapters/forge/forge.ts';

/** Milliseconds before each further try: seconds, as somebody waits for the answer. */
const PAUSES_MS = [500, 2000, 5000];

/**
 * Asks again while the forge cannot be reached, so that one answer lost on the way is not the end of a turn. Every call
 * of the port can be repeated: it looks for what an earlier one made before it makes anything.
 */
export const withPatience = (forge: Forge, pausesMs: readonly number[] = PAUSES_MS): Forge => {
  async function patiently<T>(call: () => Promise<T>): Promise<T> {
    for (const pause of pausesMs) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof ForgeError) || error.code !== 'unavailable') throw error;
      }
      await sleep(pause);
    }
    return call();
  }
  const { deployments } = forge;
  return {
    name: forge.name,
    deployments: deployments && {
      open: (ref, request) => patiently(() => deployments.open(ref, request)),
      tell: (ref, id, told) => patiently(() => deployments.tell(ref, id, told)),
    },
    parseRepository: (text) => forge.parseRepository(text),
    repository: (ref) => patiently(() => forge.repository(ref)),
    createRepository: (name, options) => patiently(() => forge.createRepository(name, options)),
    credentials: (ref) => patiently(() => forge.credentials(ref)),
    openPullRequest: (ref, request) => patiently(() => forge.openPullRequest(ref, request)),
    pullRequest: (ref, number) => patiently(() => forge.pullRequest(ref, number)),
  };
};
