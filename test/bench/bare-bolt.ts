import type { AddressInfo } from 'node:net';
import { App, HTTPReceiver, LogLevel } from '@slack/bolt';

/**
 * The least a Slack bot can be, as Bolt's own guide builds it: it acknowledges a mention and echoes it in the thread,
 * and keeps nothing. What Comio's times are measured beside.
 */
export async function createBareBolt(options: {
  signingSecret: string;
  token: string;
  slackApiUrl: string;
}): Promise<
  {
    /** Events go to `/slack/events` under it. */
    url: string;
  } & AsyncDisposable
> {
  const receiver = new HTTPReceiver({ signingSecret: options.signingSecret, logLevel: LogLevel.ERROR });
  const app = new App({
    receiver,
    token: options.token,
    logLevel: LogLevel.ERROR,
    clientOptions: { slackApiUrl: options.slackApiUrl },
  });
  app.event('app_mention', async ({ event, client }) => {
    await client.chat.postMessage({
      channel: event.channel,
      thread_ts: event.thread_ts ?? event.ts,
      text: event.text,
    });
  });
  const server = await receiver.start({ port: 0, host: '127.0.0.1' });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await app.stop();
    },
  };
}
