import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Comio's own metrics, in base units. One registry per service, so that two in one process do not mix. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    messages: new Counter({
      name: 'comio_messages_received_total',
      help: 'Messages received, by what became of the delivery.',
      labelNames: ['surface', 'result'] as const,
      registers,
    }),
    sends: new Counter({
      name: 'comio_outbox_sends_total',
      help: 'Messages, edits and reactions sent to a surface.',
      labelNames: ['surface', 'result'] as const,
      registers,
    }),
    turns: new Counter({
      name: 'comio_turns_total',
      help: 'Turns that ended.',
      labelNames: ['verb', 'state'] as const,
      registers,
    }),
    tokens: new Counter({
      name: 'comio_model_tokens_total',
      help: 'Tokens of model calls.',
      labelNames: ['kind'] as const,
      registers,
    }),
    modelSeconds: new Histogram({
      name: 'comio_model_call_duration_seconds',
      help: 'Model calls from request to the end of the answer.',
      buckets: [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
      registers,
    }),
    /** A value read when it is scraped. */
    gauge(name: string, help: string, read: () => Promise<number>): void {
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await read());
        },
      });
    },
  };
}

export type Metrics = ReturnType<typeof createMetrics>;
