import type { Forge } from '#adapters/forge/forge.ts';
import type { GitTransport } from '#sandbox/git-transport.ts';
import type { Source } from './evidence.ts';

const MAX_COMMITS = 8;
const MAX_DIFF_BYTES = 7000;

/** The commits that what was live when it began has, and what was live before has not; newest first, with their diffs. */
export const commitsSource = (deps: { transport: GitTransport; forge: Forge | undefined }): Source => ({
  name: 'commits',
  async gather({ project, live, previous }, signal) {
    const { clone_url, forge_owner, forge_name } = project;
    if (!live || !previous || clone_url === null) return [];
    const credentials =
      deps.forge && forge_owner !== null && forge_name !== null
        ? await deps.forge.credentials({ owner: forge_owner, name: forge_name })
        : undefined;
    const changes = await deps.transport.changes({
      url: clone_url,
      credentials,
      from: previous.sha,
      to: live.sha,
      limit: MAX_COMMITS,
      maxDiffBytes: MAX_DIFF_BYTES,
      signal,
    });
    return changes.map(({ sha, author, at, message, diff }) => ({
      kind: 'commit',
      title: `commit ${sha.slice(0, 7)} by ${author}: ${message.split('\n', 1)[0]}`,
      text: `commit ${sha}\nby ${author}, ${at}\n\n${message}\n\n${diff}`,
      data: { sha },
    }));
  },
});
