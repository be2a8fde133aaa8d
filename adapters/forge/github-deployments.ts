import type { ForgeDeployments, RepositoryRef } from './forge.ts';
import type { GitHubClient } from './github-app.ts';

/** GitHub's limit, in characters. */
const MAX_DESCRIPTION = 140;

/** https://docs.github.com/en/rest/deployments. The key is in the payload, by which a record is found again. */
export function createGitHubDeployments({
  call,
  installed,
}: {
  /** Failures become errors of the port. */
  call<T>(doing: string, work: () => Promise<T>): Promise<T>;
  installed(ref: RepositoryRef): Promise<GitHubClient>;
}): ForgeDeployments {
  return {
    open: (ref, { key, sha, environment, production, description }) =>
      call(`recording a deployment of ${ref.owner}/${ref.name}`, async () => {
        const client = await installed(ref);
        const at = { owner: ref.owner, repo: ref.name };
        const known = client.rest.repos.listDeployments;
        const { data: earlier } = await known({ ...at, sha, environment, per_page: 100 });
        const found = earlier.find(({ payload }) => keyIn(payload) === key);
        if (found) return String(found.id);
        const { data } = await client.rest.repos.createDeployment({
          ...at,
          ref: sha,
          environment,
          description: description.slice(0, MAX_DESCRIPTION),
          payload: { comio: key },
          // What may be deployed is decided here: GitHub merges nothing for it and waits for no check.
          auto_merge: false,
          required_contexts: [],
          production_environment: production,
          transient_environment: false,
        });
        if (!('id' in data)) throw new Error(`GitHub made no deployment: ${data.message}`);
        return String(data.id);
      }),

    tell: (ref, id, { status, url }) =>
      call(`telling about a deployment of ${ref.owner}/${ref.name}`, async () => {
        const client = await installed(ref);
        const at = { owner: ref.owner, repo: ref.name, deployment_id: Number(id) };
        // Newest first.
        const { data: told } = await client.rest.repos.listDeploymentStatuses({ ...at, per_page: 1 });
        if (told[0]?.state === status && (url === undefined || told[0].environment_url === url)) return;
        await client.rest.repos.createDeploymentStatus({
          ...at,
          state: status,
          auto_inactive: false,
          ...(url === undefined ? {} : { environment_url: url }),
        });
      }),
  };
}

/** As it was sent, or as text of it. */
function keyIn(payload: unknown): unknown {
  const value: unknown =
    typeof payload === 'string' && payload.startsWith('{') ? JSON.parse(payload) : payload;
  return typeof value === 'object' && value !== null && 'comio' in value ? value.comio : undefined;
}
