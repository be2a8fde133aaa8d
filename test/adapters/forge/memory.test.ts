import { createMemoryForge } from '#adapters/forge/memory.ts';
import { forgeContract } from '../../contracts/forge.ts';
import { createTempDir } from '../../support/temp-dir.ts';

forgeContract('memory', async () => {
  const directory = await createTempDir();
  const forge = createMemoryForge(directory.path);
  return {
    forge,
    addRepository: async (name, files) => forge.addRepository({ owner: 'acme', name }, files),
    closePullRequest: async (ref, number) => forge.closePullRequest(ref, number),
    countPullRequests: async (ref) => (await forge.pullRequests(ref)).length,
    deployments: (ref) =>
      forge.recorded(ref).map(({ sha, environment, statuses }) => ({
        sha,
        environment,
        statuses: statuses.map(({ status, url = '' }) => ({ status, url })),
      })),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
});
