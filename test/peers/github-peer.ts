import type { Push } from './git-http.ts';
import type { Permission } from './github-access.ts';
import type { CheckRun } from './github-checks.ts';
import type { Deliveries } from './github-deliveries.ts';
import type { PeerDeployment } from './github-deployments.ts';
import type { ChangedFile, Content } from './github-repositories.ts';

export interface PeerComment {
  id: number;
  body: string;
  login: string;
  byBot: boolean;
  url: string;
  /** Contents of all reactions, by whom. */
  reactions: { content: string; login: string }[];
}

export interface PeerPullRequest {
  number: number;
  title: string;
  body: string;
  state: 'open' | 'closed' | 'merged';
  head: { branch: string; sha: string };
  base: { branch: string; sha: string };
  author: string;
  url: string;
}

export interface PeerCall {
  method: string;
  /** As asked for, without the query. */
  path: string;
  /** `POST /repos/:owner/:repo/issues/:n/comments`. */
  route: string;
  status: number;
}

/** How often the platform delivers what it causes. Default 1. */
export interface Delivering {
  deliver?: number | undefined;
}

export interface On {
  owner: string;
  repo: string;
  number: number;
}

export interface GitHubPeer extends AsyncDisposable {
  /** API, web and git, all at one address. */
  url: string;
  org: string;
  botLogin: string;
  privateKey: string;
  /** What the service has to be told, as environment variables. */
  env: Record<
    | 'GITHUB_APP_ID'
    | 'GITHUB_PRIVATE_KEY'
    | 'GITHUB_WEBHOOK_SECRET'
    | 'GITHUB_API_URL'
    | 'GITHUB_URL'
    | 'GITHUB_ORG',
    string
  >;
  /** A personal access token of one of the people. */
  tokenOf(person: string): string;
  /** Every installation token given out so far. */
  issuedTokens(): string[];
  /** Where webhooks go: the service's `/github/webhooks`. */
  deliverTo(url: string | undefined): void;
  /** Holding back, reordering, sending again. */
  deliveries: Deliveries;

  // The other people's side.
  createRepository(options: {
    owner: string;
    name: string;
    private?: boolean | undefined;
    /** A directory, or files by path; left out: an empty repository. */
    files?: Content | undefined;
  }): Promise<{ cloneUrl: string; sha: string | undefined }>;
  openIssue(
    options: {
      owner: string;
      repo: string;
      user: string;
      title: string;
      body: string;
      labels?: string[];
    } & Delivering,
  ): Promise<{ id: number; number: number }>;
  /** On an issue or in a pull request's conversation. */
  comment(options: On & { user: string; body: string } & Delivering): Promise<{ id: number }>;
  reviewComment(
    options: On & { user: string; body: string; path: string; line: number } & Delivering,
  ): Promise<{ id: number }>;
  review(options: On & { user: string; body: string } & Delivering): Promise<{ id: number }>;
  /** Of all commits, oldest first. */
  checkRuns(repository: { owner: string; repo: string }): readonly CheckRun[];
  /** Presses a button of a check run. */
  pressCheck(
    options: { owner: string; repo: string; id: number; user: string; identifier: string } & Delivering,
  ): Promise<void>;
  /** By the bot or by anybody. */
  deleteComment(options: { owner: string; repo: string; id: number }): Promise<void>;
  /** Oldest first. */
  comments(on: On): Promise<PeerComment[]>;
  issueReactions(on: On): { content: string; login: string }[];
  reviewCommentReactions(options: {
    owner: string;
    repo: string;
    id: number;
  }): { content: string; login: string }[];
  pullRequests(repository: { owner: string; repo: string }): Promise<PeerPullRequest[]>;
  /** What was recorded as deployed, oldest first. */
  deployments(repository: { owner: string; repo: string }): readonly PeerDeployment[];
  pullRequestFiles(on: On): Promise<ChangedFile[]>;
  /** A person's commit on this branch, begun at `main` where there is none yet. */
  pushBranch(options: {
    owner: string;
    repo: string;
    branch: string;
    files: Readonly<Record<string, string>>;
  }): Promise<string>;
  closePullRequest(on: On): Promise<void>;
  /** Merges as a person with write access does. Resolves with the merge commit. */
  merge(on: On): Promise<string>;
  /** Names of all branches, and where they are. */
  branches(repository: { owner: string; repo: string }): Promise<{ name: string; sha: string }[]>;
  /** Of this person everywhere, or in one `owner/name`. Without it: `read` in public repositories, `none` in others. */
  setPermission(login: string, level: Permission, repository?: string): void;

  // Watching.
  onComment(see: (comment: PeerComment & On & { edited: boolean }) => void): () => void;
  onPullRequest(
    see: (pull: PeerPullRequest & { owner: string; repo: string; action: string }) => void,
  ): () => void;
  onPush(see: (push: Push) => void): () => void;
  calls: PeerCall[];
  count(route: string): number;

  // Trouble.
  /** The next call to this route fails: `before` anything happened, or `after` its effect, unheard. */
  failNext(
    route: string,
    failure: { status: number; headers?: Record<string, string>; when?: 'before' | 'after' },
  ): void;
  /** Every call to this route fails until `heal`. */
  breakRoute(route: string, status: number): void;
  heal(): void;
}
