import type { GitHubClient } from '#adapters/forge/github-app.ts';

/** GitHub keeps deliveries for three days; what nobody answered for longer than this is no longer waited for. */
const WINDOW_MS = 86_400_000;
/** A delivery may be under way. */
const SETTLE_MS = 15_000;
/** Failing again and again, it will not succeed by one more attempt. */
const MAX_ATTEMPTS = 5;
const PAGE = 100;

/**
 * Asks GitHub for every delivery again that nobody took: it sends each once, whatever becomes of it. Resolves with how
 * many were asked for. Whatever arrives twice by this is claimed once.
 */
export async function sweepDeliveries(client: GitHubClient, now: number = Date.now()): Promise<number> {
  const attempts = new Map<string, { taken: boolean; count: number; newest: { id: number; at: number } }>();
  let cursor: string | undefined;
  for (;;) {
    const query = { per_page: PAGE, ...(cursor === undefined ? {} : { cursor }) };
    const page = await client.rest.apps.listWebhookDeliveries(query);
    // Newest first.
    for (const { id, guid, delivered_at: deliveredAt, status_code: status } of page.data) {
      const known = attempts.get(guid);
      const taken = status >= 200 && status < 300;
      if (known) Object.assign(known, { taken: known.taken || taken, count: known.count + 1 });
      else attempts.set(guid, { taken, count: 1, newest: { id, at: Date.parse(deliveredAt) } });
    }
    const last = page.data.at(-1);
    cursor = /<[^>]*[?&]cursor=([^&>]+)[^>]*>; rel="next"/.exec(page.headers.link ?? '')?.[1];
    if (!last || cursor === undefined || now - Date.parse(last.delivered_at) > WINDOW_MS) break;
    cursor = decodeURIComponent(cursor);
  }
  let asked = 0;
  for (const { taken, count, newest } of [...attempts.values()].toReversed()) {
    const age = now - newest.at;
    if (taken || count >= MAX_ATTEMPTS || age > WINDOW_MS || age < SETTLE_MS) continue;
    await client.rest.apps.redeliverWebhookDelivery({ delivery_id: newest.id });
    asked += 1;
  }
  return asked;
}
