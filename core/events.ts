import { z } from 'zod';

/*
 * What the parts tell each other over the event bus. An environment is named by its `app` label: the host name's first
 * label, which scraped series and alerts carry (see core/deployments).
 */

/** One alert of an Alertmanager webhook: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. */
export const alertEvent = z.object({
  fingerprint: z.string(),
  status: z.enum(['firing', 'resolved']),
  labels: z.record(z.string(), z.string()),
  annotations: z.record(z.string(), z.string()),
  startsAt: z.iso.datetime({ offset: true }),
  endsAt: z.iso.datetime({ offset: true }).nullable(),
  generatorUrl: z.string().nullable(),
});
export type AlertEvent = z.infer<typeof alertEvent>;

/** A detector's anomaly has opened, or is over. */
export const findingEvent = z.object({
  /** Of the environment and the series: the same anomaly has the same one. */
  fingerprint: z.string(),
  status: z.enum(['firing', 'resolved']),
  environmentId: z.string(),
  title: z.string(),
  query: z.string(),
  labels: z.record(z.string(), z.string()),
  startsAt: z.iso.datetime({ offset: true }),
  endsAt: z.iso.datetime({ offset: true }).nullable(),
  /** The value when it opened, and the band it had left. */
  value: z.number(),
  low: z.number().nullable(),
  high: z.number().nullable(),
  /** 0…1 of the ensemble. */
  score: z.number(),
  /** Scrapes from the first outside the band to the decision. */
  scrapes: z.number().int(),
  /** The plot, kept under this id (core/conversations/images.ts); null when it could not be drawn. */
  imageId: z.string().nullable(),
});
export type FindingEvent = z.infer<typeof findingEvent>;

/** A release answers in an environment. */
export const deploymentEvent = z.object({
  deploymentId: z.string(),
  environmentId: z.string(),
  projectId: z.string(),
});
export type DeploymentEvent = z.infer<typeof deploymentEvent>;

export const topics = {
  alert: 'alert',
  finding: 'finding',
  deploymentLive: 'deployment.live',
} as const;
