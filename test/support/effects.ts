import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { GitHubPeer } from '../peers/github.ts';
import type { SlackPeer } from '../peers/slack.ts';
import { textOfBlocks } from './slack-text.ts';
import { createTempDir } from './temp-dir.ts';

const run = promisify(execFile);

/** Everything a run did that somebody outside can see, without what differs between two runs of the same request. */
export interface Effects {
  /** Of the bot, in the thread. Sorted: which of two comes first may differ. */
  messages: string[];
  /** On what the person said, in order of what was said. */
  reactions: string[][];
  pullRequests: { title: string; state: string; files: string[] }[];
  /** `main` included. */
  branches: number;
  pushes: number;
  /** The commits that main has not, oldest first, with all they change. */
  commits: string[];
}

export interface Asked {
  repository: string;
  thread: string;
  /** The ts of what the person said, the thread's root first. */
  said: readonly string[];
}

/** Reads back from Slack, from GitHub, and by cloning what was published. */
export async function effectsOf(
  { slack, github, pushes }: { slack: SlackPeer; github: GitHubPeer; pushes: readonly { name: string }[] },
  asked: Asked,
): Promise<Effects> {
  const where = { owner: github.org, repo: asked.repository };
  const thread = await slack.thread(asked.thread);
  const own = thread.filter(({ user }) => user === slack.ids.bot);
  const pulls = await github.pullRequests(where);
  const branches = await github.branches(where);
  const ours = branches.filter(({ name }) => name !== 'main');
  const plain = (text: string) => withoutVariety(text, asked.repository);
  return {
    messages: own.map(({ blocks, text }) => plain(textOfBlocks(blocks) || text)).sort(),
    reactions: asked.said.map((ts) =>
      thread
        .filter((message) => message.ts === ts)
        .flatMap(({ reactions }) => reactions.flatMap(({ name, users }) => users.map(() => name)))
        .sort(),
    ),
    pullRequests: await Promise.all(
      pulls.map(async ({ number, title, state, head }) => ({
        title,
        state: head.sha === ours[0]?.sha ? state : 'not at the branch',
        files: (await github.pullRequestFiles({ ...where, number })).map(({ filename }) => filename).sort(),
      })),
    ),
    branches: branches.length,
    pushes: pushes.filter(({ name }) => name === asked.repository).length,
    commits: await commitsOf(github, asked, ours[0]?.name),
  };
}

async function commitsOf(
  github: GitHubPeer,
  { repository }: Asked,
  branch: string | undefined,
): Promise<string[]> {
  if (branch === undefined) return [];
  await using directory = await createTempDir();
  const url = new URL(`${github.url}/${github.org}/${repository}.git`);
  url.username = 'x-access-token';
  url.password = github.tokenOf('ada');
  const tree = join(directory.path, 'tree');
  await run('git', ['clone', '--quiet', '--branch', branch, url.href, tree]);
  const log = ['log', '--reverse', '--format=%x00%an: %s', '--patch', 'origin/main..HEAD'];
  const { stdout } = await run('git', log, { cwd: tree });
  return stdout.split('\0').filter(Boolean);
}

const withoutVariety = (text: string, repository: string): string =>
  text
    .replaceAll(repository, '‹repository›')
    .replace(/http:\/\/127\.0\.0\.1:\d+/g, '‹url›')
    .replace(/\b[0-9a-f]{7,40}\b/g, '‹sha›')
    .replace(/(comio\/[\w-]+?)-[0-9a-f]{6}\b/g, '$1-‹suffix›')
    .replace(/\b\d{1,2}:\d{2}(?::\d{2})?( UTC)?\b/g, '‹time›')
    .replace(/\b[\d.]+ ?m?s\b/g, '‹duration›')
    .replace(/\bduration_ms [\d.]+/g, 'duration_ms ‹duration›');
