import { coreSuite } from './core.ts';
import type { Result } from './measure.ts';

/** Each suite yields its lines as they are measured. */
export const suites = { core: coreSuite } satisfies Record<string, () => AsyncGenerator<Result>>;
