import { coreSuite } from './core.ts';
import { deploySuite } from './deploy.ts';
import type { Result } from './measure.ts';

/** Each suite yields its lines as they are measured. */
export const suites = { core: coreSuite, deploy: deploySuite } satisfies Record<
  string,
  () => AsyncGenerator<Result>
>;
