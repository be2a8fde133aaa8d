/**
 * The event-bus port: parts tell each other what happened without knowing each other.
 *
 * At least once; order only among events with one key; a handler that returns has acknowledged, one that throws gets
 * the event again. Handlers therefore only start durable work under the event's id.
 */

export interface BusEvent {
  /** Identity: published twice with one id, a group handles it as one where the bus can tell. */
  id: string;
  /** Letters, digits, `.`, `-` and `_`; a group's name likewise. */
  topic: string;
  /** Order holds among events of one key, each published after the one before was. */
  key: string;
  /** JSON. */
  payload: unknown;
}

export type Handle = (event: BusEvent) => Promise<void>;

/** `Trx`: the transactions that {@link EventBus.publish} takes. */
export interface EventBus<Trx = unknown> extends AsyncDisposable {
  readonly name: string;
  readonly supports: {
    /** An event outlives the process that published it. */
    durability: boolean;
    /** An event published in a transaction exists when that commits, and not at all if it rolls back. */
    transactions: boolean;
  };
  /**
   * Resolves when the event will reach every group that ever subscribed, whatever happens to this process (where the
   * bus is durable).
   */
  publish(event: BusEvent, trx?: Trx): Promise<void>;
  /** Each group gets every event of the topic; within a group one subscriber gets it. Called before events flow. */
  subscribe(topic: string, group: string, handle: Handle): Promise<void>;
  /** Takes no more events and waits for the handlers at work. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** How often a handler gets an event before it becomes a dead letter: logged, and out of the way of its key. */
export const MAX_DELIVERIES = 9;
