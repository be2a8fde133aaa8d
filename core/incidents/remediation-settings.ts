import { z } from 'zod';

export const env = {
  AUTO_FIX: {
    schema: z
      .enum(['true', 'false'])
      .default('true')
      .transform((text) => text === 'true'),
    help: '`true`: a diagnosis that blames the code starts to work on a fix, which people approve. `false`: a button does.',
  },
  WATCH_MINUTES: {
    schema: z.coerce.number().positive().max(1440).default(15),
    help: 'Minutes after a fix is deployed in which the same series are looked at.',
  },
  WATCH_STEP_SECONDS: {
    schema: z.coerce.number().min(0.1).max(3600).default(15),
    help: 'Seconds between two of these looks.',
  },
};
