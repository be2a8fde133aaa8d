export type StoreErrorCode =
  /** Another process holds the embedded database's directory. */
  | 'locked'
  | 'bad-url'
  | 'unreachable'
  | 'access-denied'
  | 'no-such-database'
  | 'server-too-old'
  | 'no-pgvector'
  | 'migration-failed'
  /** `pg_dump` or `pg_restore` is not installed. */
  | 'tool-missing'
  | 'backup-failed'
  /** A restore would overwrite what is there. */
  | 'not-empty';

/** What can go wrong between Comio and its database before the first query; the message is for the operator. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
