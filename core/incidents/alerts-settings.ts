import { z } from 'zod';

export const env = {
  ALERTS_TOKEN: {
    schema: z.string().min(16, { error: 'must have at least 16 characters' }).optional(),
    secret: true,
    help: 'Bearer token Alertmanager sends to `POST /alerts/alertmanager`; unset: no alerts are taken.',
  },
};
