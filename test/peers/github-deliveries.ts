import { createHmac, randomUUID } from 'node:crypto';

/** One event on its way to the App. */
export interface Delivery {
  id: number;
  /** `X-GitHub-Delivery`; a redelivery keeps it. */
  guid: string;
  event: string;
  action: string;
  payload: Record<string, unknown>;
  deliveredAt: string;
  /** null: nobody answered. */
  statusCode: number | null;
  redelivery: boolean;
}

/** What GitHub waits for an answer. */
const PATIENCE_MS = 10_000;

/**
 * Webhooks as GitHub sends them: signed, once, and not again when they fail
 * (https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries).
 */
export function createDeliveries({ secret, appId }: { secret: string; appId: number }) {
  const all: Delivery[] = [];
  let url: string | undefined;
  let held: (() => Promise<void>)[] | undefined;
  let count = 0;
  const underway = new Set<Promise<unknown>>();

  async function attempt(about: Pick<Delivery, 'guid' | 'event' | 'action' | 'payload' | 'redelivery'>) {
    count += 1;
    const delivery: Delivery = {
      ...about,
      id: count,
      deliveredAt: new Date().toISOString(),
      statusCode: null,
    };
    if (url === undefined) return;
    const body = JSON.stringify(about.payload);
    try {
      const answer = await fetch(url, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'GitHub-Hookshot/0000000',
          'x-github-event': about.event,
          'x-github-delivery': about.guid,
          'x-github-hook-id': '1',
          'x-github-hook-installation-target-id': String(appId),
          'x-github-hook-installation-target-type': 'integration',
          'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
        },
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      await answer.arrayBuffer();
      delivery.statusCode = answer.status;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
    all.push(delivery);
  }

  function track(work: Promise<void>): Promise<void> {
    underway.add(work);
    return work.finally(() => underway.delete(work));
  }

  return {
    all,
    /** Where to; undefined: nobody listens and nothing is recorded. */
    sendTo(target: string | undefined) {
      url = target;
    },
    /** Resolves when every copy was answered, or failed, or is held back. */
    async send(event: string, payload: Record<string, unknown>, { times = 1 } = {}): Promise<void> {
      const about = { guid: randomUUID(), event, action: String(payload.action ?? ''), payload };
      const send = (redelivery: boolean) => () => track(attempt({ ...about, redelivery }));
      const copies = Array.from({ length: times }, (_, index) => send(index > 0));
      if (held) held.push(...copies);
      else await Promise.all(copies.map((copy) => copy()));
    },
    /** From now on nothing is sent, until `release`. */
    hold() {
      held ??= [];
    },
    /** Sends what was held back, all at once, in this order (default: the last first). */
    async release(order: <T>(copies: T[]) => T[] = (copies) => copies.toReversed()): Promise<void> {
      const copies = held ?? [];
      held = undefined;
      await Promise.all(order(copies).map((copy) => copy()));
    },
    async redeliver(id: number): Promise<boolean> {
      const found = all.find((delivery) => delivery.id === id);
      if (found) await track(attempt({ ...found, redelivery: true }));
      return found !== undefined;
    },
    /** Resolves when nothing is on its way. */
    async settled(): Promise<void> {
      while (underway.size > 0) await Promise.allSettled(underway);
    },
  };
}

export type Deliveries = ReturnType<typeof createDeliveries>;
