/** The metrics port: series over time, read by query (Prometheus). */

export interface Point {
  /** Milliseconds since the epoch. */
  t: number;
  v: number;
}

export interface Series {
  /** Without `__name__`. */
  labels: Readonly<Record<string, string>>;
  /** Oldest first, evenly spaced by the step; what was not measured is left out. */
  points: Point[];
}

export interface RangeQuery {
  query: string;
  from: Date;
  to: Date;
  stepMs: number;
}

export interface MetricsSource {
  readonly name: string;
  /** Throws `bad_query` for what the server cannot parse, `unavailable`, `too_large`. */
  range(query: RangeQuery, signal?: AbortSignal): Promise<Series[]>;
  /** The newest value of each series. */
  instant(query: string, signal?: AbortSignal): Promise<Series[]>;
}

export type MetricsErrorCode = 'bad_query' | 'too_large' | 'unavailable';

export class MetricsError extends Error {
  override readonly name = 'MetricsError';
  readonly code: MetricsErrorCode;
  constructor(code: MetricsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
