import { pino } from 'pino';

/** The part of pino's interface the code uses; the one type the leaves may share. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

/** JSON lines on stderr, so that stdout stays free for commands that print data. */
export const createLogger = (level: string): Logger =>
  pino({ level, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
