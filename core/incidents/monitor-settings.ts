import { z } from 'zod';

export const env = {
  DETECT_STEP_SECONDS: {
    schema: z.coerce
      .number({ error: 'must be a number from 1 to 300' })
      .int({ error: 'must be a whole number' })
      .min(1)
      .max(300)
      .default(15),
    help: 'Seconds between two looks at the series of what is deployed; the scrape interval of your Prometheus.',
  },
};
