import { pino } from 'pino';

/** The part of pino's interface the code uses; the one type the leaves may share. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

/** JSON lines on stderr, so that stdout stays free for what people read. Every line passes `redact`. */
export const createLogger = (level: string, redact: (text: string) => string = (text) => text): Logger =>
  pino(
    { level, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line: string) => void process.stderr.write(redact(line)) },
  );
