import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type App, type Receiver, SocketModeReceiver, type webApi } from '@slack/bolt';
import type { Logger } from '#observability/log.ts';
import { toSurfaceError } from './errors.ts';
import { slackLogger } from './log.ts';

const BACKOFF_MS = { first: 500, most: 30_000 };

export interface SocketReceiver extends Receiver {
  connected(): boolean;
}

type Envelope = {
  ack: (response?: object) => Promise<void>;
  body: Record<string, unknown>;
  retry_num?: number;
  retry_reason?: string;
};

/**
 * Bolt over Socket Mode (https://docs.slack.dev/apis/events-api/using-socket-mode). Of Bolt's own receiver we take the
 * client only: the receiver acknowledges before the listeners ran, and the client's reconnecting gives up on the first
 * failed request and takes the process with it. Here an envelope is acknowledged after its listeners, else Slack sends
 * it again, and the connection is tried until `stop`.
 */
export function createSocketReceiver(deps: {
  appToken: string;
  clientOptions: webApi.WebClientOptions;
  log: Logger;
}): SocketReceiver {
  const { log } = deps;
  const { client } = new SocketModeReceiver({
    appToken: deps.appToken,
    autoReconnectEnabled: false,
    logger: slackLogger(log),
    installerOptions: { clientOptions: deps.clientOptions },
  });
  const stopping = new AbortController();
  const working = new Set<Promise<void>>();
  let bolt: App | undefined;
  let up = false;
  let loop: Promise<void> | undefined;
  const changes = new EventTarget();

  async function handle({ ack, body, retry_num, retry_reason }: Envelope): Promise<void> {
    let answer: object | undefined;
    try {
      await bolt?.processEvent({
        body,
        ack: async (response: unknown) => {
          if (typeof response === 'object' && response !== null) answer = response;
        },
        ...(retry_num === undefined ? {} : { retryNum: retry_num }),
        ...(retry_reason === undefined ? {} : { retryReason: retry_reason }),
      });
      await ack(answer);
    } catch (error) {
      log.warn({ err: error }, 'not acknowledged; Slack will send it again');
    }
  }

  client.on('slack_event', (envelope: Envelope) => {
    const work = handle(envelope).finally(() => working.delete(work));
    working.add(work);
  });
  client.on('connected', () => {
    up = true;
  });
  client.on('disconnected', () => {
    up = false;
    changes.dispatchEvent(new Event('down'));
  });

  const down = async (): Promise<void> => {
    if (up) await once(changes, 'down');
  };

  /** Slack closes every connection after some hours; that is no failure, so the first new try is at once. */
  async function stayConnected(): Promise<void> {
    let failures = 0;
    while (!stopping.signal.aborted) {
      await down();
      if (stopping.signal.aborted) return;
      try {
        await client.start();
        failures = 0;
        log.info({}, 'connected again');
      } catch (error) {
        const wait = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** failures);
        failures += 1;
        log.warn({ err: error, retryInMs: wait }, 'not connected');
        await sleep(wait, undefined, { signal: stopping.signal }).catch((reason: unknown) => {
          if (!stopping.signal.aborted) throw reason;
        });
      }
    }
  }

  return {
    connected: () => up,
    init(app) {
      bolt = app;
    },
    async start() {
      try {
        await client.start();
      } catch (error) {
        throw toSurfaceError(error, 'connecting');
      }
      loop = stayConnected();
    },
    async stop() {
      stopping.abort();
      await Promise.all(working);
      await client.disconnect();
      changes.dispatchEvent(new Event('down'));
      await loop;
    },
  };
}
