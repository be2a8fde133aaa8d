import type { Kysely } from 'kysely';
import { type Card, textCard } from '../conversations/card.ts';
import type { Schema } from '../store/schema.ts';
import { openTurn } from './turns.ts';

/** What this thread's run is doing, from its rows. */
export async function statusCard(db: Kysely<Schema>, runId: string | null): Promise<Card> {
  if (runId === null)
    return textCard('Nothing has been started here', 'neutral', '`help` lists what I can do.');
  const run = await db
    .selectFrom('run')
    .innerJoin('project', 'project.id', 'run.project_id')
    .select(['run.title', 'run.branch', 'run.pull_request_url', 'project.html_url', 'project.name'])
    .where('run.id', '=', runId)
    .executeTakeFirstOrThrow();
  const open = await openTurn(db, runId);
  const last = await db
    .selectFrom('turn')
    .select(['state', 'request', 'ended_at'])
    .where('run_id', '=', runId)
    .where('state', 'not in', ['queued', 'working'])
    .orderBy('seq', 'desc')
    .executeTakeFirst();
  const step = open
    ? await db
        .selectFrom('step')
        .select(['title', 'summary'])
        .where('turn_id', '=', open.id)
        .orderBy('seq', 'desc')
        .executeTakeFirst()
    : undefined;
  const now = open
    ? `${open.state}: ${step?.summary ?? step?.title ?? 'starting'}`
    : `idle, last turn ${last?.state ?? 'none'}`;
  const links = [
    ...(run.pull_request_url ? [{ label: 'Pull request', url: run.pull_request_url }] : []),
    ...(run.html_url ? [{ label: 'Repository', url: run.html_url }] : []),
  ];
  return {
    title: run.title,
    tone: open ? 'working' : 'neutral',
    blocks: [
      {
        type: 'fields',
        fields: [
          { label: 'Project', value: run.name },
          { label: 'Branch', value: `\`${run.branch}\`` },
          { label: 'Now', value: now },
        ],
      },
      ...(links.length > 0 ? [{ type: 'links' as const, links }] : []),
    ],
    actions: open ? [{ id: 'stop', label: 'Stop', style: 'danger', value: open.id }] : [],
  };
}
