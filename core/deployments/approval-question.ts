import type { Transaction } from 'kysely';
import type { Question } from '../approvals/approvals.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import type { Schema } from '../store/schema.ts';
import { type Release, shortSha } from './environments.ts';
import type { Hosts } from './host.ts';
import type { RolloutJournal } from './rollout-journal.ts';
import { variablesText } from './variables.ts';

/** What people are asked before something goes to production: everything the digest is made of, and what is there now. */
export async function approvalQuestion(
  trx: Transaction<Schema>,
  hosts: Hosts,
  { deployment, environment, project }: RolloutJournal,
  release: Release,
): Promise<Omit<Question, 'digest'>> {
  const live = await trx
    .selectFrom('environment')
    .innerJoin('deployment', 'deployment.id', 'environment.live_deployment_id')
    .innerJoin('release', 'release.id', 'deployment.release_id')
    .select(['release.commit_sha', 'release.commit_message'])
    .where('environment.id', '=', environment.id)
    .executeTakeFirst();
  const commit = shortSha(release.commit_sha);
  const variables = variablesText(release.variables?.[environment.name]);
  const verb = deployment.kind === 'rollback' ? 'Roll back to' : 'Deploy';
  const compare =
    project.html_url !== null && live && live.commit_sha !== release.commit_sha
      ? [
          {
            label: 'What changes',
            url: `${project.html_url}/compare/${live.commit_sha}...${release.commit_sha}`,
          },
        ]
      : [];
  return {
    subject: 'deployment',
    subjectId: deployment.id,
    conversationId: deployment.conversation_id,
    requiredRole: 'operator',
    requestedBy: deployment.requested_by,
    fourEyes: true,
    card: {
      title: `${verb} ${commit} in ${environment.name} of ${oneLine(project.name, 60)}?`,
      tone: 'warning',
      blocks: [
        { type: 'quote', text: oneLine(release.commit_message, 200) },
        {
          type: 'fields',
          fields: [
            { label: 'Commit', value: `\`${release.commit_sha}\`` },
            { label: 'Where', value: hosts.urlOf(environment.host) ?? environment.host },
            {
              label: 'Built by',
              value: release.recipe === 'Dockerfile' ? 'Dockerfile' : `recipe for ${release.recipe}`,
            },
            ...(variables === undefined ? [] : [{ label: 'Variables', value: variables }]),
            { label: 'Image', value: `\`${oneLine(release.image ?? '', 80)}\`` },
            { label: 'Now live', value: live ? `\`${shortSha(live.commit_sha)}\`` : 'nothing' },
            { label: 'Asked by', value: oneLine(deployment.requested_by.name, 40) },
          ],
        },
        ...(compare.length > 0 ? [{ type: 'links' as const, links: compare }] : []),
      ],
      actions: [],
    },
  };
}
