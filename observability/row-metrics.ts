import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** One number read from the rows. For histograms `name` ends in `_bucket` (with label `le`), `_sum` or `_count`. */
export interface Reading {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** The upper bounds of a deployment's and a diagnosis' duration in seconds. */
export const LONG_SECONDS = [5, 10, 30, 60, 120, 300, 600, 1800, 3600];

const SEVERITIES = ['info', 'warning', 'critical'];
const SUBJECTS = ['deployment', 'remediation'];

interface Definition {
  help: string;
  /** With the values that have a series before there is one of their kind: a rate needs the zero before the one. */
  labels?: Readonly<Record<string, readonly string[]>>;
}

const gauges: Record<string, Definition> = {
  comio_turns_open: { help: 'Turns that wait or are worked on.' },
  comio_turns_queued: { help: 'Turns that wait.' },
  comio_messages_undecided: { help: 'Messages received and not yet answered, queued, ignored or refused.' },
  comio_messages_oldest_undecided_age_seconds: {
    help: 'Age of the oldest undecided message; 0 without one.',
  },
  comio_outbox_pending: { help: 'Messages, edits and reactions that wait to be sent.' },
  comio_outbox_oldest_age_seconds: {
    help: 'Age of the oldest message that was never sent; 0 without one.',
  },
  comio_queue_jobs: { help: 'Jobs that are not over.', labels: { queue: [], state: [] } },
  comio_queue_oldest_age_seconds: {
    help: 'Time since the oldest job that waits became due; 0 without one.',
    labels: { queue: [] },
  },
  comio_sandboxes: {
    help: 'Sandboxes of this service; missing while the driver does not answer.',
    labels: { state: [] },
  },
  comio_incidents_open: { help: 'Incidents that have not ended.', labels: { severity: SEVERITIES } },
  comio_deployments_open: { help: 'Deployments that wait for people or are worked on.' },
  comio_approvals_waiting: { help: 'Questions that wait for a decision.', labels: { subject: SUBJECTS } },
};

const counters: Record<string, Definition> = {
  comio_incidents_opened_total: {
    help: 'Incidents opened, by the kind of signal that opened them.',
    labels: { kind: ['alert', 'finding'] },
  },
  comio_deployments_total: {
    help: 'Deployments that ended.',
    labels: {
      environment: ['staging', 'production'],
      outcome: ['succeeded', 'failed', 'rejected', 'stopped'],
    },
  },
  comio_approvals_decided_total: {
    help: 'Questions decided.',
    labels: { subject: SUBJECTS, decision: ['approved', 'rejected', 'expired', 'withdrawn'] },
  },
};

const histograms: Record<string, Definition> = {
  comio_incident_diagnosis_duration_seconds: {
    help: 'From the opening of an incident to its first diagnosis.',
  },
  comio_deployment_duration_seconds: {
    help: 'From the first phase of a deployment until it was live or had failed.',
  },
};

/** What the database knows is read when it is scraped, and so is the same in every process and after a restart. */
export function createRowMetrics(registers: Registry[]) {
  const settable = new Map<string, Gauge | Counter>();
  const definitions = Object.entries({ ...gauges, ...counters });
  for (const [name, definition] of definitions) {
    const options = {
      name,
      help: definition.help,
      labelNames: Object.keys(definition.labels ?? {}),
      registers,
    };
    settable.set(name, name in counters ? new Counter(options) : new Gauge(options));
  }
  const durations = Object.entries(histograms).map(
    ([name, { help }]) => [name, new RowHistogram({ name, help, registers })] as const,
  );

  /** Replaces every value. `undefined`: nothing could be read, and nothing is told. */
  return (readings: readonly Reading[] | undefined): void => {
    for (const [name, { labels = {} }] of definitions) {
      const metric = settable.get(name);
      metric?.reset();
      if (readings) for (const zero of combinations(labels)) metric?.inc(zero, 0);
      else metric?.remove({});
    }
    for (const { name, labels, value } of readings ?? []) settable.get(name)?.inc(labels, value);
    for (const [name, histogram] of durations)
      histogram.readings = (readings ?? []).filter((reading) => reading.name.startsWith(`${name}_`));
  };
}

/** A histogram whose buckets were counted elsewhere. */
class RowHistogram extends Histogram {
  readings: readonly Reading[] = [];
  private readonly about: { name: string; help: string };

  constructor(options: { name: string; help: string; registers: Registry[] }) {
    super(options);
    this.about = { name: options.name, help: options.help };
  }

  /** What the registry asks for when it writes text. */
  async getForPromString() {
    const values = this.readings.map(({ name, labels, value }) => ({ metricName: name, labels, value }));
    return { ...this.about, type: 'histogram', values };
  }
}

const combinations = (labels: NonNullable<Definition['labels']>): Record<string, string>[] =>
  Object.entries(labels).reduce<Record<string, string>[]>(
    (all, [name, values]) => all.flatMap((known) => values.map((value) => ({ ...known, [name]: value }))),
    [{}],
  );
