import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { createRowMetrics, type Reading } from './row-metrics.ts';

/** Upper bounds in seconds. */
const FAST = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const CALL = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const WORK = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600];

/**
 * Comio's own metrics, in base units. One registry per service, so that two in one process do not mix. No label has a
 * value that people make up: projects, threads and ids belong into logs and traces.
 */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const showRows = createRowMetrics(registers);
  const ready = new Gauge({
    name: 'comio_ready',
    help: '1 while work is taken and the database answers.',
    registers,
  });
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly Label[],
  ) => new Histogram({ name, help, buckets, labelNames, registers });

  return {
    messages: counter('comio_messages_received_total', 'Messages received, by what became of the delivery.', [
      'surface',
      'result',
    ]),
    acks: histogram(
      'comio_message_receive_duration_seconds',
      'From a surface having understood a message until it is safe in the database and may be acknowledged.',
      FAST,
      ['surface', 'result'],
    ),
    requests: histogram(
      'comio_http_request_duration_seconds',
      'HTTP requests, webhooks among them, until their answer.',
      FAST,
      ['method', 'route', 'status'],
    ),
    sends: counter('comio_outbox_sends_total', 'Messages, edits and reactions sent to a surface.', [
      'surface',
      'result',
    ]),
    firstSends: histogram(
      'comio_outbox_first_send_delay_seconds',
      'From a message or reaction being written to the outbox until the surface had it; edits do not count.',
      [...FAST, 10, 30, 60, 300],
      ['surface'],
    ),
    signals: counter('comio_signals_total', 'Alerts and findings taken in, by what became of them.', [
      'kind',
      'result',
    ]),
    turns: counter('comio_turns_total', 'Turns that ended.', ['verb', 'state']),
    turnSeconds: histogram(
      'comio_turn_duration_seconds',
      'From a worker first taking a turn until it ended.',
      WORK,
      ['verb', 'state'],
    ),
    stepSeconds: histogram(
      'comio_step_duration_seconds',
      'Steps of turns that ended: model calls, tool calls, and what Comio does itself.',
      CALL,
      ['kind', 'state'],
    ),
    modelSeconds: histogram(
      'comio_model_call_duration_seconds',
      'Model calls that were answered, from request to the end of the answer; each try counts.',
      CALL,
      ['provider', 'model'],
    ),
    modelErrors: counter('comio_model_errors_total', 'Model calls that failed; each try counts.', [
      'provider',
      'model',
      'code',
    ]),
    tokens: counter('comio_model_tokens_total', 'Tokens of model calls.', ['provider', 'model', 'kind']),
    cost: counter(
      'comio_model_cost_dollars_total',
      'What model calls cost, for models whose price is configured.',
      ['provider', 'model'],
    ),
    jobs: histogram(
      'comio_job_duration_seconds',
      'Jobs worked on; a job that failed may be tried again.',
      CALL,
      ['queue', 'result'],
    ),
    sandboxStarts: histogram(
      'comio_sandbox_start_duration_seconds',
      'From asking for a sandbox until it was ready, or the error.',
      [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      ['result'],
    ),
    contentType: registry.contentType,
    /** The text Prometheus reads. `read` throws when the database is away: then what is in the rows is left out. */
    async scrape(read: () => Promise<{ ready: boolean; readings: readonly Reading[] }>): Promise<string> {
      try {
        const now = await read();
        ready.set(now.ready ? 1 : 0);
        showRows(now.readings);
      } catch {
        // Told by the value: whoever scrapes must get the rest just now, and /readyz gives the reason.
        ready.set(0);
        showRows(undefined);
      }
      return registry.metrics();
    },
  };
}

export type Metrics = ReturnType<typeof createMetrics>;
