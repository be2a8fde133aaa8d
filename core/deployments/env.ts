import { z } from 'zod';

/** A host name without a port, as it is compared: lower case. */
const domain = z
  .string()
  .transform((text) => text.toLowerCase())
  .pipe(
    z
      .string()
      .regex(
        /^(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/,
        'must be a host name without scheme and port, like apps.example.com',
      ),
  );

export const env = {
  DEPLOY_DOMAIN: {
    schema: domain.default('localhost'),
    help: 'Deployed apps answer at NAME.DEPLOY_DOMAIN, on this server’s port; point *.DEPLOY_DOMAIN at it. Set it with PUBLIC_URL: of `localhost` people elsewhere get no links.',
  },
  DEPLOY_MEMORY_MB: {
    schema: z.coerce.number().int().min(32).max(1_048_576).default(512),
    help: 'Memory of a deployed app in MiB.',
  },
  DEPLOY_CPUS: {
    schema: z.coerce.number().min(0.1).max(64).default(1),
    help: 'CPU cores of a deployed app.',
  },
  METRICS_TOKEN: {
    schema: z.string().min(16, 'must have 16 characters or more').optional(),
    secret: true,
    help: 'Bearer token for /deployments/targets, which Prometheus reads; unset: only this machine may.',
  },
};
