import { randomUUID } from 'node:crypto';
import { LlmError, type Provider } from '#adapters/llm/llm.ts';
import { currentIds, withIds } from '#observability/context.ts';
import type { Metrics } from '#observability/metrics.ts';
import { costOf, type ModelPrices } from '#observability/model-prices.ts';
import type { Tracing } from '#observability/tracing.ts';
import { type SandboxDriver, SandboxError, type SandboxErrorCode } from '#sandbox/sandbox.ts';
import type { Receive } from './conversations/surface.ts';
import type { ToolStepInput } from './runs/context.ts';
import type { EngineDeps } from './runs/engine.ts';

/** Ports as they are, counted and traced. */
interface Watching {
  metrics: Metrics;
  tracing: Tracing;
}

/** Each message received gets ids and a span of its own, whatever it came in by. */
export const observedReceive =
  (receive: Receive, { metrics, tracing }: Watching): Receive =>
  (inbound) => {
    const { surface } = inbound.conversation;
    const { requestId = randomUUID() } = currentIds();
    const attributes = { 'comio.surface': surface, 'comio.message.id': inbound.id };
    return withIds({ requestId, messageId: inbound.id }, () =>
      tracing.span(`receive ${surface}`, { kind: 'server', attributes }, async (span) => {
        const started = performance.now();
        const result = await receive(inbound);
        metrics.acks.observe({ surface, result }, (performance.now() - started) / 1000);
        span.set({ 'comio.result': result });
        return result;
      }),
    );
  };

/**
 * Each try of a model call. Spans are named by the semantic conventions for generative AI,
 * https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/.
 */
export const observedProvider = (
  provider: Provider,
  { metrics, tracing, prices }: Watching & { prices: ModelPrices | undefined },
): Provider => ({
  name: provider.name,
  async *stream(request) {
    const { model } = request;
    const labels = { provider: provider.name, model };
    const span = tracing.begin(`chat ${model}`, {
      kind: 'client',
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': provider.name,
        'gen_ai.request.model': model,
        'gen_ai.request.max_tokens': request.maxOutputTokens,
      },
    });
    const started = performance.now();
    try {
      for await (const event of provider.stream(request)) {
        // Before it is passed on: whoever has the end does not ask for more.
        if (event.type === 'end') {
          const { input, output, cacheRead, cacheWrite } = event.usage;
          metrics.modelSeconds.observe(labels, (performance.now() - started) / 1000);
          for (const [kind, count] of Object.entries(event.usage))
            metrics.tokens.inc({ ...labels, kind }, count);
          const dollars = costOf(prices, model, event.usage);
          if (dollars !== undefined) metrics.cost.inc(labels, dollars);
          span.set({
            // The conventions count cached tokens as input.
            'gen_ai.usage.input_tokens': input + cacheRead + cacheWrite,
            'gen_ai.usage.output_tokens': output,
            'gen_ai.usage.cache_read.input_tokens': cacheRead,
            'gen_ai.usage.cache_creation.input_tokens': cacheWrite,
            'gen_ai.response.finish_reasons': [event.stop],
          });
        }
        yield event;
      }
    } catch (error) {
      const code = error instanceof LlmError ? error.code : 'unexpected';
      metrics.modelErrors.inc({ ...labels, code });
      span.end(code);
      throw error;
    } finally {
      span.end();
    }
  },
});

/** What the engine tells of its work. */
export const observedRuns = ({
  metrics,
  tracing,
}: Watching): Pick<EngineDeps, 'tracing' | 'onStepEnd' | 'onTurnEnd'> => ({
  tracing,
  onStepEnd({ kind, state, input, started_at: startedAt, ended_at: endedAt }) {
    if (!endedAt) return;
    metrics.stepSeconds.observe({ kind, state }, secondsBetween(startedAt, endedAt));
    const error = state === 'failed' ? 'failed' : undefined;
    // A model step has the span of its call.
    if (kind === 'phase') tracing.record('phase', { startedAt, endedAt, error });
    if (kind !== 'tool') return;
    const { call } = input as ToolStepInput;
    const attributes = {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': call.name,
      'gen_ai.tool.call.id': call.id,
    };
    tracing.record(`execute_tool ${call.name}`, { attributes, startedAt, endedAt, error });
  },
  onTurnEnd({ verb, state, started_at: startedAt, ended_at: endedAt }) {
    metrics.turns.inc({ verb, state });
    if (startedAt && endedAt)
      metrics.turnSeconds.observe({ verb, state }, secondsBetween(startedAt, endedAt));
  },
});

const secondsBetween = (from: Date, to: Date): number => Math.max(0, to.getTime() - from.getTime()) / 1000;

export function observedDriver(driver: SandboxDriver, { metrics, tracing }: Watching): SandboxDriver {
  // An alert needs the zero before the one.
  for (const result of STARTS) metrics.sandboxStarts.zero({ result });
  return {
    ...driver,
    create: (spec, signal) =>
      tracing.span('start sandbox', { attributes: { 'comio.sandbox.driver': driver.name } }, async () => {
        const started = performance.now();
        const done = (result: string) =>
          metrics.sandboxStarts.observe({ result }, (performance.now() - started) / 1000);
        try {
          const sandbox = await driver.create(spec, signal);
          done('ok');
          return sandbox;
        } catch (error) {
          done(signal?.aborted ? 'aborted' : error instanceof SandboxError ? error.code : 'unexpected');
          throw error;
        }
      }),
  };
}

const STARTS: readonly (SandboxErrorCode | 'ok')[] = [
  'ok',
  'driver_unavailable',
  'image_failed',
  'create_failed',
];
