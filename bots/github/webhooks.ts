import type { EmitterWebhookEventName } from '@octokit/webhooks';
import type { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Probot } from 'probot';
import type { Logger } from '#observability/log.ts';
import { WEBHOOKS_PATH } from './manifest.ts';

/**
 * GitHub sends up to 25 MB, but not of what we hear: two texts of 65,536 characters and a diff hunk at the most. It is
 * kept in memory before anybody knows who sent it.
 */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Takes GitHub's deliveries. It answers 200 only when whatever was said is safe: GitHub sends nothing twice by itself,
 * but what was answered otherwise can be asked for again. (Probot's own middleware answers 202 after nine seconds,
 * which would count as taken.)
 */
export function mountWebhooks(app: Hono, probot: Probot, log: Logger): void {
  app.post(WEBHOOKS_PATH, bodyLimit({ maxSize: MAX_BYTES }), async (context) => {
    const { req } = context;
    const id = req.header('x-github-delivery');
    const name = req.header('x-github-event');
    const signature = req.header('x-hub-signature-256');
    if (id === undefined || name === undefined || signature === undefined)
      return context.json({ error: 'not a GitHub delivery' }, 400);
    const payload = await req.text();
    await probot.ready();
    if (!(await probot.webhooks.verify(payload, signature).catch(() => false))) {
      log.warn(
        { delivery: id },
        'a webhook with a wrong signature: compare GITHUB_WEBHOOK_SECRET with the App’s',
      );
      return context.json({ error: 'the signature does not fit' }, 401);
    }
    try {
      const event = { id, name: name as EmitterWebhookEventName, payload, signature };
      await probot.webhooks.verifyAndReceive(event);
      return context.json({ ok: true });
    } catch (error) {
      log.error(
        { err: error, delivery: id, event: name },
        'a webhook could not be taken; GitHub will be asked again',
      );
      return context.json({ error: 'not taken' }, 500);
    }
  });
}
