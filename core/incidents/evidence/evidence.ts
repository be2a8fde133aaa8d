import type { Selectable } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Project } from '../../projects/projects.ts';
import { truncate } from '../../runs/tools/truncate.ts';
import type { Incident } from '../incidents.ts';
import type { EvidenceTable, SignalTable } from '../tables.ts';
import type { DeploymentSeen } from './deployments-seen.ts';

/** One thing that was seen; it gets its number when all are there. */
export interface Piece {
  kind: EvidenceTable['kind'];
  /** One line. */
  title: string;
  /** What the model and people read. */
  text: string;
  data: unknown;
}

/** What sources look at. */
export interface Scene {
  incident: Incident;
  project: Project;
  /** The environment's `app` label; undefined when the incident has no environment. */
  app: string | undefined;
  signals: readonly Selectable<SignalTable>[];
  /** The environment's deployments that ever went live, newest first. */
  deployments: readonly DeploymentSeen[];
  /** What was live when it began; the newest when none was yet. */
  live: DeploymentSeen | undefined;
  /** The one before it with another commit. */
  previous: DeploymentSeen | undefined;
  /** What was before is compared with what came after. */
  from: Date;
  onset: Date;
  to: Date;
}

export interface Source {
  /** For people, in the plural: "logs". */
  name: string;
  /** Strongest first. What it throws becomes a note. */
  gather(scene: Scene, signal: AbortSignal): Promise<Piece[]>;
}

/** 8 KiB, less a multi-byte character here and there. */
const MAX_TEXT = 8000;
const MAX_BYTES = 8192;
const MAX_TITLE = 200;

/** Asks all sources at once, each for at most `timeoutMs`; one that fails costs its own evidence only. */
export async function gatherEvidence(
  sources: readonly Source[],
  scene: Scene,
  options: { timeoutMs: number; redact: (text: string) => string; log: Logger; signal: AbortSignal },
): Promise<{ pieces: Piece[]; notes: string[] }> {
  const { timeoutMs, redact, log, signal } = options;
  const asked = await Promise.all(
    sources.map(async (source): Promise<{ pieces: Piece[]; note?: string }> => {
      const timeout = AbortSignal.timeout(timeoutMs);
      const limit = AbortSignal.any([signal, timeout]);
      try {
        return { pieces: await withLimit(source.gather(scene, limit), limit) };
      } catch (error) {
        signal.throwIfAborted();
        log.warn(
          { err: error, incident: scene.incident.id, source: source.name },
          'a source gave no evidence',
        );
        const why = timeout.aborted
          ? `no answer within ${Math.round(timeoutMs / 1000)} s`
          : error instanceof Error
            ? error.message
            : String(error);
        return { pieces: [], note: `${source.name} could not be read: ${truncate(redact(why), 300)}` };
      }
    }),
  );
  return {
    pieces: asked.flatMap(({ pieces }) => pieces).map((piece) => bounded(piece, redact)),
    notes: asked.flatMap(({ note }) => note ?? []),
  };
}

/** Not every source heeds its signal; whoever waits does. */
async function withLimit<T>(work: Promise<T>, limit: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(limit.reason);
  if (limit.aborted) onAbort();
  limit.addEventListener('abort', onAbort);
  try {
    return await Promise.race([work, promise]);
  } finally {
    limit.removeEventListener('abort', onAbort);
  }
}

function bounded(piece: Piece, redact: (text: string) => string): Piece {
  let text = truncate(redact(piece.text), MAX_TEXT);
  for (let most = MAX_TEXT; Buffer.byteLength(text) > MAX_BYTES; most -= 500) text = truncate(text, most);
  return { ...piece, title: redact(piece.title).replace(/\s+/g, ' ').slice(0, MAX_TITLE), text };
}
