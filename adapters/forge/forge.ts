/** The forge port: where repositories live and pull requests are opened (GitHub). */

export interface RepositoryRef {
  owner: string;
  name: string;
}

export interface Repository extends RepositoryRef {
  /** HTTPS URL without credentials. */
  cloneUrl: string;
  htmlUrl: string;
  defaultBranch: string;
  private: boolean;
}

export interface PullRequest {
  number: number;
  url: string;
  headBranch: string;
  /** The head branch is another repository's: a branch of that name here is a different one. */
  fromFork: boolean;
  baseBranch: string;
  headSha: string;
  /** The commit on the base branch that merged it, or that it was squashed into. */
  mergeSha?: string | undefined;
  state: 'open' | 'closed' | 'merged';
  title: string;
}

/** For one git transport; never handed to a sandbox. */
export interface GitCredentials {
  username: string;
  password: string;
}

export type DeploymentStatus = 'in_progress' | 'success' | 'failure' | 'inactive';

/** The forge's own record of what runs where. */
export interface ForgeDeployments {
  /** Its id there. Idempotent by key: the record with this key is found again instead of a second. */
  open(
    ref: RepositoryRef,
    request: { key: string; sha: string; environment: string; production: boolean; description: string },
  ): Promise<string>;
  /** Its newest status. Idempotent: what was said last is not said again. `url`: where it answers. */
  tell(ref: RepositoryRef, id: string, told: { status: DeploymentStatus; url?: string }): Promise<void>;
}

export interface Forge {
  readonly name: string;
  /** undefined: this forge keeps no such records. */
  readonly deployments?: ForgeDeployments | undefined;
  /** `owner/name`, an HTTPS or SSH URL of this forge → reference; undefined when it is not one of this forge. */
  parseRepository(text: string): RepositoryRef | undefined;
  /** undefined when it does not exist or we may not see it (forges do not tell the two apart). */
  repository(ref: RepositoryRef): Promise<Repository | undefined>;
  /** Idempotent: an empty repository of this name that we own is returned as it is. `name_taken` when it has content. */
  createRepository(name: string, options: { description: string; private: boolean }): Promise<Repository>;
  /** Short-lived. */
  credentials(ref: RepositoryRef): Promise<GitCredentials>;
  /** Idempotent: the open pull request of this head branch is updated and returned instead of a second. */
  openPullRequest(
    ref: RepositoryRef,
    request: { head: string; base: string; title: string; body: string },
  ): Promise<PullRequest>;
  pullRequest(ref: RepositoryRef, number: number): Promise<PullRequest | undefined>;
}

export type ForgeErrorCode = 'not_installed' | 'forbidden' | 'name_taken' | 'invalid' | 'unavailable';

/** Messages say what to do about it. */
export class ForgeError extends Error {
  override readonly name = 'ForgeError';
  readonly code: ForgeErrorCode;
  constructor(code: ForgeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
