/**
 * The event-bus port: parts tell each other what happened without knowing each other.
 *
 * At least once; order only among events with one key; a handler that returns has acknowledged, one that throws gets
 * the event again. Handlers therefore only start durable work under the event's id.
 */

export interface BusEvent {
  /** Identity: published twice with one id, a group handles it as one where the bus can tell. */
  id: string;
  topic: string;
  /** Order holds among events of one key. */
  key: string;
  /** JSON. */
  payload: unknown;
}

export interface EventBus extends AsyncDisposable {
  readonly name: string;
  /** Resolves when the event will reach every group that subscribed, whatever happens to this process (where the bus is durable). */
  publish(event: BusEvent): Promise<void>;
  /** Each group gets every event of the topic; within a group one subscriber gets it. Called before events flow. */
  subscribe(topic: string, group: string, handle: (event: BusEvent) => Promise<void>): Promise<void>;
}
