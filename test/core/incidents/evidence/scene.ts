import type { Selectable } from 'kysely';
import type { DeploymentSeen } from '#core/incidents/evidence/deployments-seen.ts';
import type { Scene } from '#core/incidents/evidence/evidence.ts';
import type { SignalTable } from '#core/incidents/tables.ts';

const BEFORE_MS = 30 * 60_000;

export const signalOf = (
  kind: SignalTable['kind'],
  title: string,
  query: string | null,
  startsAt = new Date(0),
): Selectable<SignalTable> => ({
  id: `${kind}:${title}`,
  incident_id: 'incident',
  kind,
  fingerprint: title,
  title,
  query,
  labels: { app: 'shop' },
  payload: {},
  starts_at: startsAt,
  ends_at: null,
  seen: 1,
  taken_at: startsAt,
});

export const deploymentOf = (id: string, liveAt: Date): DeploymentSeen => ({
  id,
  kind: 'deploy',
  state: 'live',
  requestedBy: { id: 'ada', name: 'Ada', claims: [] },
  liveAt,
  endedAt: null,
  sha: id.padEnd(40, '0'),
  message: id,
});

/** What sources look at, of an app `shop`. */
export const sceneOf = (
  about: Pick<Scene, 'onset'> & Partial<Pick<Scene, 'signals' | 'to' | 'live' | 'previous'>>,
): Scene => {
  const { onset, live, previous } = about;
  return {
    incident: {
      id: 'incident',
      project_id: 'project',
      environment_id: 'environment',
      fingerprint: 'fault',
      title: 'A fault',
      severity: 'critical',
      state: 'diagnosing',
      epoch: 1,
      conversation_id: 'conversation',
      began_at: onset,
      opened_at: onset,
      gathered_at: null,
      notes: [],
      problem: null,
      quiet_since: null,
      settled_from: null,
      ended_at: null,
    },
    project: {
      id: 'project',
      name: 'shop',
      description: '',
      origin: 'imported',
      forge_owner: null,
      forge_name: null,
      clone_url: null,
      html_url: null,
      default_branch: 'main',
      created_at: new Date(0),
    },
    app: 'shop',
    signals: about.signals ?? [],
    deployments: [live, previous].filter((one) => one !== undefined),
    live,
    previous,
    from: new Date(onset.getTime() - BEFORE_MS),
    onset,
    to: about.to ?? onset,
  };
};
