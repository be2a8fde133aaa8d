import { z } from 'zod';
import { MetricsError, type MetricsErrorCode, type MetricsSource, type Series } from './metrics-source.ts';

/*
 * Prometheus' HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/. Also spoken by Thanos, Mimir and
 * VictoriaMetrics.
 */

export const env = {
  PROMETHEUS_URL: {
    schema: z
      .url({ protocol: /^https?$/ })
      .refine((url) => !/\/\/[^/]*@/.test(url), 'must carry no password: use PROMETHEUS_TOKEN')
      .optional(),
    help: 'Prometheus that scrapes what is deployed; unset: nothing is monitored.',
  },
  PROMETHEUS_TOKEN: {
    schema: z.string().min(1).optional(),
    secret: true,
    help: 'Bearer token for PROMETHEUS_URL.',
  },
};

/** Prometheus refuses longer answers; a caller with a longer range asks with a wider step. */
const MAX_POINTS = 11_000;
/** Of one answer: 11,000 points of about 60 series. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

const sample = z.tuple([z.number(), z.string()]);
const labels = z.record(z.string(), z.string());
const answer = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('success'),
    data: z.discriminatedUnion('resultType', [
      // Native histograms come under `histograms`; they have no single value.
      z.object({
        resultType: z.literal('matrix'),
        result: z.array(z.object({ metric: labels, values: z.array(sample).default([]) })),
      }),
      z.object({
        resultType: z.literal('vector'),
        result: z.array(z.object({ metric: labels, value: sample.optional() })),
      }),
      z.object({ resultType: z.literal('scalar'), result: sample }),
      z.object({ resultType: z.literal('string'), result: sample }),
    ]),
  }),
  z.object({ status: z.literal('error'), errorType: z.string(), error: z.string() }),
]);
type Data = Extract<z.infer<typeof answer>, { status: 'success' }>['data'];

/**
 * `timeoutMs` bounds one query. An answer past 32 MiB, and a range of more than 11,000 points, is `too_large`. When
 * the caller's signal aborts, its reason is thrown.
 */
export function createPrometheus({
  url,
  token,
  timeoutMs = TIMEOUT_MS,
}: {
  url: string;
  token?: string | undefined;
  timeoutMs?: number;
}): MetricsSource {
  const base = url.replace(/\/+$/, '');

  async function ask(
    path: string,
    form: Record<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<Data> {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(`${base}/api/v1/${path}`, {
        method: 'POST',
        body: new URLSearchParams({ ...form, timeout: `${timeoutMs}ms` }),
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        // Whoever answers with another address gets neither the query nor the token.
        redirect: 'error',
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      return dataOf(await textOf(response), response.status);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof MetricsError) throw error;
      const why = timeout.aborted ? `no answer in ${timeoutMs} ms` : reasonOf(error);
      throw new MetricsError('unavailable', `Prometheus cannot be asked: ${why}.`, { cause: error });
    }
  }

  return {
    name: 'prometheus',
    async range({ query, from, to, stepMs }, signal) {
      const points = Math.floor((to.getTime() - from.getTime()) / stepMs) + 1;
      if (points > MAX_POINTS)
        throw new MetricsError(
          'too_large',
          `The range has ${points} points, and Prometheus answers at most ${MAX_POINTS}: use a wider step.`,
        );
      const [start, end, step] = [from.getTime() / 1000, to.getTime() / 1000, stepMs / 1000].map(String);
      return seriesOf(
        await ask('query_range', { query, start, end, step } as Record<string, string>, signal),
      );
    },
    async instant(query, signal) {
      const series = seriesOf(await ask('query', { query }, signal));
      return series.map(({ labels, points }) => ({ labels, points: points.slice(-1) }));
    },
  };
}

function dataOf(text: string, status: number): Data {
  const parsed = answer.safeParse(jsonOf(text));
  if (!parsed.success)
    throw new MetricsError('unavailable', `What answers is not Prometheus (HTTP ${status}).`, {
      cause: parsed.error,
    });
  if (parsed.data.status === 'success') return parsed.data.data;
  const { errorType, error } = parsed.data;
  throw new MetricsError(codeOf(errorType), `Prometheus says: ${error.slice(0, 500)}`);
}

/** https://github.com/prometheus/prometheus/blob/main/web/api/v1/api.go: `execution` is a query that parses and cannot be worked out. */
const codeOf = (errorType: string): MetricsErrorCode =>
  errorType === 'bad_data' || errorType === 'execution' ? 'bad_query' : 'unavailable';

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the body.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES)
      throw new MetricsError('too_large', 'The answer is larger than 32 MiB: ask for fewer series.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function seriesOf(data: Data): Series[] {
  switch (data.resultType) {
    case 'matrix':
      return data.result.flatMap(({ metric, values }) => measured(metric, values));
    case 'vector':
      return data.result.flatMap(({ metric, value }) => measured(metric, value ? [value] : []));
    case 'scalar':
      return measured({}, [data.result]);
    case 'string':
      throw new MetricsError('bad_query', 'The query answers a text, not a series.');
  }
}

/** Without what is not a number ("NaN", "+Inf"); a series of nothing else is none. */
function measured({ __name__, ...labels }: Record<string, string>, samples: [number, string][]): Series[] {
  const points = samples
    .map(([seconds, value]) => ({ t: Math.round(seconds * 1000), v: Number(value) }))
    .filter(({ v }) => Number.isFinite(v));
  return points.length > 0 ? [{ labels, points }] : [];
}

/** fetch says only "fetch failed"; the cause says why. */
const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
};
