import { LogLevel, type Logger as SlackLogger } from '@slack/bolt';
import type { Logger } from '#observability/log.ts';

/** Slack's libraries log through ours, warnings and errors only: their debug output holds messages and addresses with tickets. */
export function slackLogger(log: Logger): SlackLogger {
  const words = (parts: unknown[]) => parts.map(String).join(' ');
  return {
    debug() {},
    info() {},
    warn: (...parts) => log.warn({}, words(parts)),
    error: (...parts) => log.error({}, words(parts)),
    setLevel() {},
    getLevel: () => LogLevel.WARN,
    setName() {},
  };
}
