import type { Logger } from '#observability/log.ts';
import type { Approvals } from './approvals/approvals.ts';
import type { Dispatch } from './conversations/dispatch.ts';
import type { Outbox } from './conversations/outbox.ts';
import type { Deployments } from './deployments/deployments.ts';
import type { Monitor } from './incidents/monitor.ts';
import type { RemediationService } from './incidents/remediation.ts';
import type { Watch } from './incidents/watch.ts';
import type { Engine } from './runs/engine.ts';
import type { Jobs } from './store/jobs.ts';
import type { Queues } from './store/queues.ts';

/** Whose rows are advanced by which queue. */
export interface Workers {
  dispatch: Dispatch;
  outbox: Outbox;
  engine: Engine;
  approvals: Approvals & { expire(approvalId: string): Promise<void> };
  deployments: Deployments;
  remediation: RemediationService;
  watch: Watch;
  monitor: Monitor;
  /** Runs, and deployments, that are worked on at once. */
  concurrency: number;
  log: Logger;
}

/** Begins to work on what waits in every queue but those a part of the core starts itself. */
export async function startWork(jobs: Jobs<Queues>, workers: Workers): Promise<void> {
  const { dispatch, outbox, engine, approvals, deployments, remediation, watch, monitor } = workers;
  const { concurrency, log } = workers;
  await jobs.work(
    'inbox',
    { concurrency: 4, onDead: ({ messageId }) => dispatch.giveUp(messageId) },
    ({ messageId }) => dispatch.dispatch(messageId),
  );
  await jobs.work(
    'outbox',
    {
      concurrency: 4,
      onDead: async ({ conversationId }, error) =>
        log.error(
          { conversationId, error },
          'delivery failed again and again; it goes on with the next message',
        ),
    },
    ({ conversationId }, signal) => outbox.deliver(conversationId, signal),
  );
  await jobs.work(
    'run',
    { concurrency, onDead: ({ runId }, error) => engine.giveUp(runId, error) },
    ({ runId }, signal) => engine.advance(runId, signal),
  );
  await jobs.work(
    'approval',
    {
      concurrency: 1,
      // Whoever presses too late is still told so.
      onDead: async ({ approvalId }, error) => log.error({ approvalId, error }, 'a question did not expire'),
    },
    ({ approvalId }) => approvals.expire(approvalId),
  );
  await jobs.work(
    'deployment',
    { concurrency, onDead: ({ deploymentId }, error) => deployments.giveUp(deploymentId, error) },
    ({ deploymentId }, signal) => deployments.advance(deploymentId, signal),
  );
  await jobs.work(
    'logs',
    {
      concurrency: 2,
      onDead(request, error) {
        log.error({ deploymentId: request.deploymentId, error }, 'logs were not read');
        return deployments.logs.giveUp(request);
      },
    },
    deployments.logs.show,
  );
  await jobs.work(
    'monitor',
    { concurrency: 2, onDead: ({ environmentId }, error) => monitor.giveUp(environmentId, error) },
    ({ environmentId }, signal) => monitor.look(environmentId, signal),
  );
  await jobs.work(
    'remediation',
    { concurrency: 2, onDead: ({ remediationId }, error) => remediation.giveUp(remediationId, error) },
    ({ remediationId }, signal) => remediation.advance(remediationId, signal),
  );
  await jobs.work(
    'watch',
    { concurrency: 2, onDead: ({ watchId }, error) => watch.giveUp(watchId, error) },
    ({ watchId }, signal) => watch.advance(watchId, signal),
  );
}
