import type { Kysely } from 'kysely';
import type { Schema } from '../store/schema.ts';

/**
 * Why nothing of this run may be pushed by a tool, in words for people: it works on a fix, and what people did not
 * approve is not published with whatever is asked for next. undefined: it may. Once a fix is a pull request, its run is
 * like any other.
 */
export async function whyUnpublishable(db: Kysely<Schema>, runId: string): Promise<string | undefined> {
  const fix = await db
    .selectFrom('remediation')
    .innerJoin('run', 'run.id', 'remediation.run_id')
    .select(['remediation.state', 'run.published_sha'])
    .where('remediation.run_id', '=', runId)
    .executeTakeFirst();
  switch (fix?.state) {
    case 'working':
    case 'proposed':
      return 'This thread works on a fix that is not approved, so nothing of it is published. Approve or reject the fix first, then ask again.';
    case 'approved':
      return 'The approved fix is being published; nothing else is until then. Ask again once it is a pull request.';
    case 'rejected':
    case 'failed':
      return fix.published_sha === null
        ? 'This builds on a fix that nobody approved, so nothing of it is published. Ask again: the thread is back at what it worked on before the fix.'
        : undefined;
    default:
      return undefined;
  }
}
