import type { z } from 'zod';
import type { MetricsSource } from './metrics-source.ts';
import { createPrometheus, env as prometheusEnv } from './prometheus.ts';

type Settings = {
  readonly [Name in keyof typeof prometheusEnv]: z.output<(typeof prometheusEnv)[Name]['schema']>;
};

/** undefined where the settings name none. */
export type MetricsSourceFactory = (settings: Settings) => MetricsSource | undefined;

export const metricsSources = {
  prometheus: ({ PROMETHEUS_URL: url, PROMETHEUS_TOKEN: token }) =>
    url === undefined ? undefined : createPrometheus({ url, token }),
} satisfies Record<string, MetricsSourceFactory>;

export const env = { ...prometheusEnv };
