import { type App, isValidSlackRequest, type Receiver } from '@slack/bolt';
import type { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';

const MAX_BODY = 1_048_576;

export interface HonoReceiver extends Receiver {
  mount(app: Hono): void;
}

/**
 * Bolt on a Hono server: events, interactivity and slash commands at `/slack/events`. Bolt acknowledges an event before
 * its listeners ran; here the answer goes out after them, so a message is safe before Slack hears that it arrived, and a
 * failure is answered with 500, on which Slack sends it again.
 * https://docs.slack.dev/authentication/verifying-requests-from-slack
 */
export function createHonoReceiver(signingSecret: string, ready: () => boolean): HonoReceiver {
  let bolt: App | undefined;
  return {
    init(app) {
      bolt = app;
    },
    start: async () => {},
    stop: async () => {},
    mount(app) {
      app.post('/slack/events', bodyLimit({ maxSize: MAX_BODY }), async (context) => {
        const { req } = context;
        const raw = await req.text();
        const headers = {
          'x-slack-signature': req.header('x-slack-signature') ?? '',
          'x-slack-request-timestamp': Number(req.header('x-slack-request-timestamp') ?? Number.NaN),
        };
        if (!isValidSlackRequest({ signingSecret, body: raw, headers }))
          return context.text('bad signature', 401);
        const body = payloadOf(raw, req.header('content-type') ?? '');
        if (body.type === 'url_verification') return context.json({ challenge: body.challenge });
        if (body.ssl_check !== undefined) return context.body(null, 200);
        if (!bolt || !ready()) return context.text('starting', 503);
        let answer: unknown;
        await bolt.processEvent({
          body,
          ack: async (response: unknown) => {
            answer = response;
          },
        });
        return typeof answer === 'object' && answer !== null ? context.json(answer) : context.body(null, 200);
      });
    },
  };
}

/** Events are JSON; slash commands are forms; what people press is JSON in a form's `payload`. */
function payloadOf(raw: string, type: string): Record<string, unknown> {
  if (type.includes('application/json')) return JSON.parse(raw);
  const form = Object.fromEntries(new URLSearchParams(raw));
  return form.payload === undefined ? form : JSON.parse(form.payload);
}
