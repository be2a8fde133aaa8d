import { type Forge, ForgeError } from '#adapters/forge/forge.ts';
import type { GitTransport } from '#sandbox/git-transport.ts';
import type { Project } from '../projects/projects.ts';

/** Where commits come from: the project's repository on the forge, through the core's mirror of it. */
export interface Source {
  /** Throws `git_failed` of the sandbox port, or {@link ForgeError}, with a sentence for people. */
  resolve(
    project: Project,
    ref: string | undefined,
    signal: AbortSignal,
  ): Promise<{ sha: string; subject: string; ref: string }>;
  /** The commit's files as a tar. */
  archive(project: Project, sha: string, signal: AbortSignal): Promise<Buffer>;
}

export function createSource(deps: { forge: Forge | undefined; transport: GitTransport }): Source {
  const { forge, transport } = deps;

  async function remoteOf(project: Project, signal: AbortSignal) {
    const { clone_url: url, forge_owner: owner, forge_name: name } = project;
    if (url === null || owner === null || name === null)
      throw new ForgeError('invalid', `${project.name} is in no repository yet: publish it first.`);
    if (!forge)
      throw new ForgeError('not_installed', 'No GitHub App is configured, so no commit can be read.');
    return { url, credentials: await forge.credentials({ owner, name }), signal };
  }

  return {
    resolve: async (project, ref, signal) =>
      transport.resolveCommit({ ...(await remoteOf(project, signal)), ref }),
    async archive(project, sha, signal) {
      // What was resolved here once is here: putting an older release back needs no forge.
      const kept =
        project.clone_url === null
          ? undefined
          : await transport.archive({ url: project.clone_url, sha, signal });
      if (kept) return kept;
      const remote = await remoteOf(project, signal);
      await transport.resolveCommit({ ...remote, ref: sha });
      const fetched = await transport.archive({ url: remote.url, sha, signal });
      if (!fetched) throw new Error('unreachable: what was resolved is kept');
      return fetched;
    },
  };
}
