import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import type { EventBus } from '#adapters/events/bus.ts';
import type { Logger } from '#observability/log.ts';
import { type AlertEvent, topics } from '../events.ts';

/** A webhook of a few hundred alerts has some hundred kilobytes. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Go's zero time: the alert goes on. */
const NEVER = /^0001-01-01T/;
const time = z.iso.datetime({ offset: true });
const texts = z.record(z.string(), z.string());

/** Version 4 of the webhook: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. */
const webhook = z.object({
  version: z.literal('4'),
  truncatedAlerts: z.number().default(0),
  alerts: z.array(
    z.object({
      status: z.enum(['firing', 'resolved']),
      labels: texts,
      annotations: texts,
      startsAt: time,
      endsAt: time.nullish(),
      generatorURL: z.string().nullish(),
      fingerprint: z.string().min(1),
    }),
  ),
});

export const alertsPath = '/alerts/alertmanager';

/**
 * Where Alertmanager brings alerts. It is answered 200 once the bus has all of them, and sends them again after a 5xx;
 * what it brings twice is one signal (see intake.ts).
 */
export function mountAlertmanager(
  app: Hono,
  { token, bus, log }: { token: string | undefined; bus: EventBus; log: Logger },
): void {
  if (token === undefined) {
    const how = `no alerts are taken: set ALERTS_TOKEN, and give it to Alertmanager as the webhook's bearer token`;
    log.info({ path: alertsPath }, how);
    app.post(alertsPath, (context) => {
      log.warn({ path: alertsPath }, how);
      return context.json({ error: 'not found' }, 404);
    });
    return;
  }
  app.post(
    alertsPath,
    async (context, next) => {
      if (isBearer(context.req.header('authorization'), token)) return next();
      return context.json({ error: 'unauthorized' }, 401, { 'www-authenticate': 'Bearer' });
    },
    bodyLimit({ maxSize: MAX_BODY_BYTES }),
    async (context) => {
      const body = webhook.safeParse(parseJson(await context.req.text()));
      if (!body.success) {
        log.warn({ problem: z.prettifyError(body.error) }, 'a webhook is not what Alertmanager sends');
        return context.json({ error: z.prettifyError(body.error) }, 400);
      }
      const { alerts, truncatedAlerts } = body.data;
      if (truncatedAlerts > 0) log.warn({ truncatedAlerts }, 'Alertmanager left out alerts (max_alerts)');
      for (const alert of alerts) {
        const { fingerprint, status, labels, annotations, startsAt, endsAt, generatorURL } = alert;
        const payload: AlertEvent = {
          fingerprint,
          status,
          labels,
          annotations,
          startsAt,
          endsAt: status === 'firing' || !endsAt || NEVER.test(endsAt) ? null : endsAt,
          generatorUrl: generatorURL || null,
        };
        // Of this delivery: that it is the same alert as before is the signal's to know, which counts them.
        await bus.publish({ id: randomUUID(), topic: topics.alert, key: fingerprint, payload });
      }
      return context.json({ accepted: alerts.length });
    },
  );
}

function isBearer(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
