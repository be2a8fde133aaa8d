import type { Generated } from 'kysely';
import type { Person } from '../conversations/surface.ts';
import type { Json, Nullable, NullableJson, NullableTime, Time } from '../store/columns.ts';
import type { Variables } from './variables.ts';

/** Where releases of a project run; one deployment is live in it at a time. */
export interface EnvironmentTable {
  id: string;
  project_id: string;
  name: EnvironmentName;
  /** The first label of the host name under DEPLOY_DOMAIN: `shop` (production), `shop-staging`. Unique. */
  host: string;
  live_deployment_id: Nullable<string>;
  created_at: Time;
}

export type EnvironmentName = 'staging' | 'production';

/** An image built from a commit. */
export interface ReleaseTable {
  id: string;
  project_id: string;
  commit_sha: string;
  commit_message: string;
  image: Nullable<string>;
  port: Nullable<number>;
  recipe: Nullable<string>;
  /** What the commit gives its app, by environment; null until it was read. */
  variables: NullableJson<Variables>;
  created_at: Time;
}

export type DeploymentState =
  /** Waits for people. */
  | 'waiting'
  | 'queued'
  | 'building'
  | 'starting'
  | 'checking'
  | 'live'
  /** Another took its place; it drains, then its instance is removed. */
  | 'replaced'
  | 'failed'
  | 'rejected'
  | 'stopped';

/** A release in an environment. A rollback is a deployment of an older release. */
export interface DeploymentTable {
  id: string;
  environment_id: string;
  /** null until the commit is known. */
  release_id: Nullable<string>;
  kind: 'deploy' | 'rollback';
  /** What was asked for: a branch, tag or commit; null: the default branch. */
  ref: Nullable<string>;
  state: DeploymentState;
  /** Raised by every worker that takes it; a write with an older number is refused. */
  epoch: Generated<number>;
  approval_id: Nullable<string>;
  conversation_id: string;
  message_id: string;
  requested_by: Json<Person>;
  /** Where it answers, inside. */
  address: NullableJson<{ host: string; port: number }>;
  /** The forge's own record. */
  forge_deployment: Nullable<string>;
  /** What was last said there. */
  forge_status: Nullable<string>;
  /** What it took the place of. */
  previous_id: Nullable<string>;
  /** A person's name. */
  stop_requested_by: Nullable<string>;
  /** What people see as it goes on: one line for each phase. */
  phases: Json<DeploymentPhase[]>;
  error: Nullable<string>;
  created_at: Time;
  live_at: NullableTime;
  /** When its instance is to be removed at the latest; null: it is wanted, or gone. */
  drain_until: NullableTime;
  ended_at: NullableTime;
}

export interface DeploymentPhase {
  text: string;
  state: 'running' | 'done' | 'failed';
  detail?: string | undefined;
  at: string;
}

export interface DeploymentTables {
  environment: EnvironmentTable;
  release: ReleaseTable;
  deployment: DeploymentTable;
}
