import { z } from 'zod';

export const env = {
  INCIDENT_QUIET_MINUTES: {
    schema: z.coerce.number().min(0).max(1440).default(5),
    help: 'Minutes without a signal after which an incident that nobody fixed counts as over.',
  },
};
