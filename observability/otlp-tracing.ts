import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Context,
  DiagLogLevel,
  diag,
  type Link,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Logger } from './log.ts';
import type { Span, SpanOptions, Tracing } from './tracing.ts';

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/** How long the last spans may take to be sent when the service ends, in milliseconds. */
const SHUTDOWN_MS = 3000;

/**
 * Traces over OTLP/HTTP in JSON, sent in batches beside the work. Nothing is registered globally: contexts are this
 * object's own, so that two services in one process do not mix.
 */
export function createOtlpTracing(options: {
  url: string;
  headers: Record<string, string>;
  name: string;
  version: string;
  log: Logger;
}): Tracing {
  const { log } = options;
  const tell = (message: string) => log.warn({ reason: message }, 'traces are not delivered');
  const quiet = () => undefined;
  diag.setLogger(
    { error: tell, warn: quiet, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': options.name, 'service.version': options.version }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url: options.url, headers: options.headers, timeoutMillis: 5000 }),
      }),
    ],
  });
  const tracer = provider.getTracer('comio', options.version);
  const contexts = new AsyncLocalStorage<Context>();

  const start = (name: string, given: SpanOptions, startTime?: Date): { span: OtelSpan; around: Context } => {
    const links = linksOf(given.link);
    const around = given.parent
      ? remote(given.parent)
      : links.length > 0
        ? ROOT_CONTEXT
        : (contexts.getStore() ?? ROOT_CONTEXT);
    const span = tracer.startSpan(
      name,
      {
        kind: KINDS[given.kind ?? 'internal'],
        attributes: mutable(given.attributes ?? {}),
        links,
        ...(startTime ? { startTime } : {}),
      },
      around,
    );
    return { span, around };
  };

  return {
    async span(name, given, work) {
      const { span, around } = start(name, given);
      const ours = handle(span);
      try {
        const result = await contexts.run(trace.setSpan(around, span), () => work(ours));
        ours.end();
        return result;
      } catch (error) {
        ours.end(errorType(error));
        throw error;
      }
    },
    begin: (name, given) => handle(start(name, given).span),
    record(name, { startedAt, endedAt, error, ...given }) {
      const { span } = start(name, given, startedAt);
      handle(span, endedAt).end(error);
    },
    traceparent() {
      const context = trace.getSpanContext(contexts.getStore() ?? ROOT_CONTEXT);
      if (!context) return undefined;
      return `00-${context.traceId}-${context.spanId}-${context.traceFlags.toString(16).padStart(2, '0')}`;
    },
    async [Symbol.asyncDispose]() {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => reject(new Error(`no answer within ${SHUTDOWN_MS} ms`)), SHUTDOWN_MS);
      try {
        await Promise.race([provider.shutdown(), late]);
      } catch (error) {
        log.warn({ error }, 'the last traces were not delivered');
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function handle(span: OtelSpan, endedAt?: Date): Span {
  let over = false;
  return {
    set: (attributes) => void span.setAttributes(mutable(attributes)),
    end(error) {
      if (over) return;
      over = true;
      if (error !== undefined) {
        span.setAttribute('error.type', error);
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end(endedAt);
    },
  };
}

const errorType = (error: unknown): string => {
  if (!(error instanceof Error)) return '_OTHER';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
};

const remote = (traceparent: string): Context => {
  const parsed = parseTraceParent(traceparent);
  return parsed ? trace.setSpanContext(ROOT_CONTEXT, { ...parsed, isRemote: true }) : ROOT_CONTEXT;
};

const linksOf = (traceparent: string | undefined): Link[] => {
  const parsed = traceparent === undefined ? null : parseTraceParent(traceparent);
  return parsed ? [{ context: { ...parsed, isRemote: true } }] : [];
};

/** The API's type of arrays is a mutable one. */
const mutable = (attributes: NonNullable<SpanOptions['attributes']>) =>
  Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, typeof value === 'object' ? [...value] : value]),
  );
