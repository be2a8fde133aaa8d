import type { Generated } from 'kysely';
import type { EnsembleState } from '#observability/detectors/ensemble.ts';
import type { FindingEvent } from '../events.ts';
import type { Json, Time } from '../store/columns.ts';

/** What detection knows of one series of an environment. */
export interface SeriesStateTable {
  environment_id: string;
  /** A name of core/incidents/series.ts. */
  series: string;
  state: Json<EnsembleState>;
  /** Findings that are written and not yet known to be on the bus, oldest first. */
  pending: Json<FindingEvent[]>;
  /** Raised by every write; a write that read another number is refused. */
  version: Generated<number>;
  updated_at: Time;
}

export interface MonitorTables {
  series_state: SeriesStateTable;
}
