import { Agent, request } from 'node:http';

export interface TrafficOptions {
  /** Where requests go, for instance Comio's proxy: http://127.0.0.1:8080. */
  baseUrl: string;
  /** The Host header, when it is not that of the base URL. */
  host?: string | undefined;
  /** Requests per second, averaged over a day. */
  rate: number;
  /** How much faster than a real day the day passes (1440: in a minute). Without it there is no day: the rate stays. */
  daySpeed?: number | undefined;
  /** The same seed asks for the same things in the same order. */
  seed?: number | undefined;
  /** Beyond that many unanswered requests, further ones are skipped. */
  maxInFlight?: number | undefined;
}

export interface TrafficCounts {
  sent: number;
  /** Answered below 500. */
  ok: number;
  /** Answered with 500 or more. */
  failed: number;
  /** Not answered: refused, reset, longer than ten seconds. */
  unanswered: number;
  skipped: number;
}

/** Customers at work on the shop, from now until disposed. */
export interface Traffic extends AsyncDisposable {
  counts(): TrafficCounts;
  /** No new requests; resolves when the running ones have ended. */
  stop(): Promise<TrafficCounts>;
}

const TIMEOUT_MS = 10_000;
const DAY_MS = 86_400_000;

export function createTraffic(options: TrafficOptions): Traffic {
  const { baseUrl, host, rate, daySpeed, seed = 1, maxInFlight = 50 } = options;
  const random = seededRandom(seed);
  // A sequence of its own, so that what is asked for does not depend on how fast it is answered.
  const customers = createCustomers(seededRandom(seed + 1));
  const agent = new Agent({ keepAlive: true, maxSockets: maxInFlight });
  const counts: TrafficCounts = { sent: 0, ok: 0, failed: 0, unanswered: 0, skipped: 0 };
  const running = new Set<Promise<void>>();
  const started = performance.now();
  let timer: NodeJS.Timeout | undefined;
  let due = started;

  async function send(): Promise<void> {
    counts.sent += 1;
    const wish = customers.next();
    try {
      const { status, body } = await ask(agent, baseUrl, host, wish);
      if (status >= 500) counts.failed += 1;
      else counts.ok += 1;
      customers.answered(wish, status, body);
    } catch {
      // What became of it is what is counted.
      counts.unanswered += 1;
    }
  }

  function tick(): void {
    const now = performance.now();
    // Times between customers are exponential: they do not know of each other.
    for (; due <= now; due += gapMs(due)) {
      if (running.size >= maxInFlight) {
        counts.skipped += 1;
        continue;
      }
      const sending: Promise<void> = send().finally(() => running.delete(sending));
      running.add(sending);
    }
    timer = setTimeout(tick, due - now);
  }

  function gapMs(at: number): number {
    const shape = daySpeed === undefined ? 1 : dayShape(((at - started) * daySpeed) / DAY_MS);
    return (-Math.log(1 - random()) * 1000) / (rate * shape);
  }

  async function stop(): Promise<TrafficCounts> {
    clearTimeout(timer);
    await Promise.all(running);
    agent.destroy();
    return { ...counts };
  }

  tick();
  return {
    counts: () => ({ ...counts }),
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

/**
 * How busy the shop is at a moment of the day (0 and 1: midnight), 1 on average: least at four in the morning, most in
 * the afternoon, with a second hill in the evening.
 */
export function dayShape(day: number): number {
  const turn = 2 * Math.PI * (day - 4 / 24);
  return 1 - 0.6 * Math.cos(turn) + 0.15 * Math.cos(2 * turn - Math.PI);
}

interface Wish {
  method: 'GET' | 'POST';
  path: string;
  body?: { customer: string; item: string; quantity: number } | undefined;
}

const REMEMBERED = 200;

/** What customers ask for: orders, a look at them, a list of theirs. One order in three is a café's, of 60 pieces or more. */
function createCustomers(random: () => number) {
  const orders: string[] = [];
  const below = (bound: number) => Math.floor(random() * bound);
  const customer = () => {
    const isCafe = random() < 1 / 3;
    return { isCafe, name: isCafe ? `cafe-${below(8)}` : `customer-${below(60)}` };
  };

  return {
    next(): Wish {
      const kind = random();
      const { name, isCafe } = customer();
      if (kind < 0.25) return { method: 'GET', path: `/orders?customer=${name}` };
      const known = orders[below(orders.length)];
      if (kind < 0.55 && known !== undefined) return { method: 'GET', path: `/orders/${known}` };
      const item = ['beans', 'filter', 'kettle', 'mug'][below(4)] ?? 'mug';
      const quantity = isCafe ? 60 + below(140) : 1 + below(12);
      return { method: 'POST', path: '/orders', body: { customer: name, item, quantity } };
    },
    answered({ method, path }: Wish, status: number, body: string): void {
      if (method === 'POST' && status === 201) {
        const id = /"id":"([^"]+)"/.exec(body)?.[1];
        if (id !== undefined) orders.push(id);
        if (orders.length > REMEMBERED) orders.shift();
      }
      // A new deployment has forgotten what the old one knew.
      if (status === 404) orders.splice(orders.indexOf(path.slice('/orders/'.length)), 1);
    },
  };
}

function ask(
  agent: Agent,
  baseUrl: string,
  host: string | undefined,
  { method, path, body }: Wish,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, baseUrl), {
      agent,
      method,
      timeout: TIMEOUT_MS,
      headers: { ...(host && { host }), ...(body && { 'content-type': 'application/json' }) },
    });
    sent.on('error', reject);
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.end(body && JSON.stringify(body));
  });
}

/** From 0 to below 1; mulberry32, https://gist.github.com/tommyettinger/46a874533244883189143505d203312c. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
