import { createHmac, randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';

export type DeliveryKind = 'events_api' | 'slash_commands' | 'interactive';

/** One attempt to tell the app something. */
export interface Delivery {
  kind: DeliveryKind;
  /** `app_mention`, `message`, `/comio`, `block_actions`. */
  what: string;
  attempt: number;
  ok: boolean;
  /** HTTP status; 200 for an acknowledged envelope; 0 when nothing answered. */
  status: number;
  /** Milliseconds from sending to the acknowledgement. */
  ackMs: number;
  /** What the app answered with. */
  answer: string;
}

export interface DeliveryOptions {
  signingSecret: string;
  /** Milliseconds before each retry; Slack's own are about 1 s, 1 min and 5 min. */
  retryMs: readonly number[];
  /** Milliseconds to wait for an acknowledgement; Slack waits 3 s. */
  ackMs: number;
}

/** Slack's side of HTTP and Socket Mode: signs, waits for the acknowledgement, sends again. */
export function createDelivery(options: DeliveryOptions) {
  const sockets = new Set<WebSocket>();
  const waiting = new Map<string, (answer: string) => void>();
  const attempts: Delivery[] = [];
  const running = new Set<Promise<void>>();
  const stopping = new AbortController();
  let eventsUrl: string | undefined;
  let turn = 0;
  let held: (() => void)[] | undefined;

  async function overHttp(url: string, kind: DeliveryKind, payload: object, retry: Record<string, string>) {
    const [type, raw] = bodyFor(kind, payload);
    const timestamp = String(Math.floor(Date.now() / 1000));
    const signature = createHmac('sha256', options.signingSecret)
      .update(`v0:${timestamp}:${raw}`)
      .digest('hex');
    const response = await fetch(url, {
      method: 'POST',
      body: raw,
      signal: AbortSignal.any([AbortSignal.timeout(options.ackMs), stopping.signal]),
      headers: {
        'content-type': type,
        'x-slack-request-timestamp': timestamp,
        'x-slack-signature': `v0=${signature}`,
        ...retry,
      },
    });
    return { status: response.status, answer: await response.text() };
  }

  async function overSocket(
    socket: WebSocket,
    kind: DeliveryKind,
    payload: object,
    retry: Record<string, unknown>,
  ) {
    const id = randomUUID();
    const answered = Promise.withResolvers<string>();
    waiting.set(id, answered.resolve);
    const timer = setTimeout(() => answered.reject(new Error('not acknowledged')), options.ackMs);
    socket.send(
      JSON.stringify({
        envelope_id: id,
        type: kind,
        payload,
        accepts_response_payload: kind !== 'events_api',
        ...retry,
      }),
    );
    try {
      return { status: 200, answer: await answered.promise };
    } finally {
      clearTimeout(timer);
      waiting.delete(id);
    }
  }

  async function attempt(
    kind: DeliveryKind,
    what: string,
    payload: object,
    number: number,
  ): Promise<boolean> {
    const started = performance.now();
    const record = (status: number, answer: string): boolean => {
      const ok = status >= 200 && status < 300;
      attempts.push({ kind, what, attempt: number, ok, status, ackMs: performance.now() - started, answer });
      return ok;
    };
    const open = [...sockets];
    turn += 1;
    const socket = open[turn % (open.length || 1)];
    try {
      if (socket) {
        const retry =
          number > 0
            ? { retry_attempt: number, retry_reason: 'timeout' }
            : { retry_attempt: 0, retry_reason: '' };
        const { status, answer } = await overSocket(socket, kind, payload, retry);
        return record(status, answer);
      }
      if (eventsUrl === undefined) return record(0, 'nowhere to deliver to');
      const retry: Record<string, string> =
        number > 0 ? { 'x-slack-retry-num': String(number), 'x-slack-retry-reason': 'http_error' } : {};
      const { status, answer } = await overHttp(eventsUrl, kind, payload, retry);
      return record(status, answer);
    } catch (error) {
      return record(0, error instanceof Error ? error.message : String(error));
    }
  }

  async function deliver(kind: DeliveryKind, what: string, payload: object): Promise<void> {
    // Only events are sent again; a person whose command or press failed sees it and tries again.
    const pauses = kind === 'events_api' ? options.retryMs : [];
    for (let number = 0; !stopping.signal.aborted; number += 1) {
      if (await attempt(kind, what, payload, number)) return;
      const pause = pauses[number];
      if (pause === undefined) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        stopping.signal.addEventListener('abort', () => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  return {
    attempts,
    sockets,
    /** Where the app listens for HTTP; a connected socket goes first. */
    deliverTo(url: string): void {
      eventsUrl = url;
    },
    /** Begins a delivery; {@link idle} waits for its end. */
    send(kind: DeliveryKind, what: string, payload: object): void {
      const begin = () => {
        const work = deliver(kind, what, payload).finally(() => running.delete(work));
        running.add(work);
      };
      if (held) held.push(begin);
      else begin();
    },
    /** From now on nothing is sent, until `release`. */
    hold(): void {
      held ??= [];
    },
    /** Sends what was held back, all at once, in this order (default: the last first). */
    release(order: <T>(all: T[]) => T[] = (all) => all.toReversed()): void {
      const all = held ?? [];
      held = undefined;
      for (const begin of order(all)) begin();
    },
    /** All deliveries have ended, acknowledged or given up. */
    async idle(): Promise<void> {
      while (running.size > 0) await Promise.all(running);
    },
    connect(socket: WebSocket, appId: string): void {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('message', (data: Buffer) => {
        const { envelope_id: id, payload } = JSON.parse(data.toString());
        waiting.get(id)?.(JSON.stringify(payload ?? {}));
      });
      socket.send(
        JSON.stringify({ type: 'hello', num_connections: sockets.size, connection_info: { app_id: appId } }),
      );
    },
    /** Slack recycles the connection, as it does every few hours. */
    refresh(): void {
      for (const socket of sockets) {
        socket.send(JSON.stringify({ type: 'disconnect', reason: 'refresh_requested' }));
        sockets.delete(socket);
      }
    },
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

function bodyFor(kind: DeliveryKind, payload: object): [type: string, raw: string] {
  const form = 'application/x-www-form-urlencoded';
  if (kind === 'events_api') return ['application/json', JSON.stringify(payload)];
  if (kind === 'interactive')
    return [form, new URLSearchParams({ payload: JSON.stringify(payload) }).toString()];
  const fields = Object.entries(payload).map(([name, value]): [string, string] => [name, String(value)]);
  return [form, new URLSearchParams(fields).toString()];
}
