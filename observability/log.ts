import { pino } from 'pino';
import { currentIds } from './context.ts';

/** The part of pino's interface the code uses; the one type the leaves may share. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

/**
 * What went wrong and where. Nothing else an error carries: databases hang the statement's values on it, and HTTP
 * clients the request, which is what people wrote.
 */
function told(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack, cause } = error;
  const own = new Map<string, unknown>(Object.entries(error));
  const marks = ['code', 'status', 'statusCode'].map((key) => [key, own.get(key)] as const);
  return {
    type: name,
    message,
    stack,
    ...Object.fromEntries(marks.filter(([, value]) => ['string', 'number'].includes(typeof value))),
    ...(cause === undefined ? {} : { cause: told(cause) }),
  };
}

/**
 * JSON lines on stderr, so that stdout stays free for what people read. Every line passes `redact`, and tells the ids
 * of the work it was written in.
 */
export const createLogger = (level: string, redact: (text: string) => string = (text) => text): Logger =>
  pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: told, error: told },
      // A copy: pino writes the record's own fields into it.
      mixin: () => ({ ...currentIds() }),
    },
    { write: (line: string) => void process.stderr.write(redact(line)) },
  );
