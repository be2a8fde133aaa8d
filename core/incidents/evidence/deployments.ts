import type { DeploymentSeen } from './deployments-seen.ts';
import type { Source } from './evidence.ts';

const DAY_MS = 86_400_000;
const MAX_PIECES = 5;

/** What was put live in the day before it began, and since; always the one that was live then. */
export const deploymentsSource: Source = {
  name: 'deployments',
  async gather({ deployments, live, previous, onset }) {
    const recent = deployments.filter(
      (one) => one === live || onset.getTime() - one.liveAt.getTime() < DAY_MS,
    );
    return recent.slice(0, MAX_PIECES).map((one) => {
      const what = one.kind === 'rollback' ? 'Rollback to' : 'Deployment of';
      const lines = [
        `${what} commit ${one.sha}: ${one.message.split('\n', 1)[0]}`,
        `asked for by ${one.requestedBy.name}`,
        `went live ${one.liveAt.toISOString()}, ${distance(one, onset)}`,
        ...(one === live ? ['it was live when the incident began'] : []),
        ...(one === live && previous ? [`before it, commit ${previous.sha} was live`] : []),
        `now ${one.state}`,
      ];
      return {
        kind: 'deployment',
        title: `${what} ${one.sha.slice(0, 7)} by ${one.requestedBy.name}, live ${distance(one, onset)}`,
        text: lines.join('\n'),
        data: { deploymentId: one.id, sha: one.sha },
      };
    });
  },
};

function distance({ liveAt }: DeploymentSeen, onset: Date): string {
  const seconds = Math.round((onset.getTime() - liveAt.getTime()) / 1000);
  const words =
    Math.abs(seconds) < 120 ? `${Math.abs(seconds)} s` : `${Math.round(Math.abs(seconds) / 60)} min`;
  return `${words} ${seconds >= 0 ? 'before' : 'after'} the incident began`;
}
