import { z } from 'zod';
import type { Logger } from './log.ts';
import type { Redactor } from './redact.ts';

export const env = {
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    schema: z.url().optional(),
    help: 'OTLP/HTTP receiver that traces are sent to (`/v1/traces` is added); unset: no traces.',
  },
  OTEL_EXPORTER_OTLP_HEADERS: {
    schema: z
      .string()
      .regex(/^[^=,\s]+=[^,]*(,[^=,\s]+=[^,]*)*$/, 'must be name=value,name=value')
      .optional(),
    secret: true,
    help: 'Headers of what is sent there, `name=value,…`, values percent-encoded.',
  },
  OTEL_SERVICE_NAME: { schema: z.string().default('comio'), help: 'Name of this service in its traces.' },
};

type Attributes = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface SpanOptions {
  kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer' | undefined;
  attributes?: Attributes | undefined;
  /** W3C traceparent of what asked for this; otherwise the span around it. */
  parent?: string | undefined;
  /** W3C traceparent of what led to this without waiting for it: it gets a trace of its own. */
  link?: string | undefined;
}

export interface Span {
  set(attributes: Attributes): void;
  /** Once. `error` is its class or code, not its words: those may quote what people wrote. */
  end(error?: string): void;
}

/** Spans of OpenTelemetry, as far as Comio needs them. */
export interface Tracing extends AsyncDisposable {
  /** Spans begun while `work` goes on are its children. */
  span<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
  /** For work that is no single function call; nothing becomes its child. */
  begin(name: string, options: SpanOptions): Span;
  /** Of something that is over and was timed elsewhere. */
  record(
    name: string,
    span: SpanOptions & { startedAt: Date; endedAt: Date; error?: string | undefined },
  ): void;
  /** W3C traceparent of the current span, to be carried to another process. */
  traceparent(): string | undefined;
}

const nothing: Span = { set: () => undefined, end: () => undefined };

/** Where no receiver is configured. */
export const noTracing: Tracing = {
  span: (_name, _options, work) => work(nothing),
  begin: () => nothing,
  record: () => undefined,
  traceparent: () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};

/** OpenTelemetry is loaded only when there is somewhere to send to. */
export async function openTracing(
  settings: {
    OTEL_EXPORTER_OTLP_ENDPOINT: string | undefined;
    OTEL_EXPORTER_OTLP_HEADERS: string | undefined;
    OTEL_SERVICE_NAME: string;
  },
  { redact, ...service }: { version: string; log: Logger; redact: Pick<Redactor, 'add'> },
): Promise<Tracing> {
  const endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return noTracing;
  const headers = headersOf(settings.OTEL_EXPORTER_OTLP_HEADERS ?? '');
  // The configuration knows the whole setting as a secret; in an error one value may stand alone.
  for (const value of Object.values(headers)) redact.add(value);
  const { createOtlpTracing } = await import('./otlp-tracing.ts');
  return createOtlpTracing({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers,
    name: settings.OTEL_SERVICE_NAME,
    ...service,
  });
}

const headersOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split(',')
      .filter((pair) => pair !== '')
      .map((pair) => {
        const at = pair.indexOf('=');
        return [pair.slice(0, at), decodeURIComponent(pair.slice(at + 1))];
      }),
  );
