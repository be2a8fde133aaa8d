import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { root, run } from './command.ts';

const names = z.union([z.array(z.string()), z.record(z.string(), z.unknown()).transform(Object.keys)]);

/** The part of the Compose file format that ours uses; anything else in it is a mistake until it is added here. */
const service = z.strictObject({
  image: z.string().regex(/:/, 'names no tag').optional(),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  env_file: z.array(z.strictObject({ path: z.string(), required: z.boolean() })).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  network_mode: z.literal('host').optional(),
  ports: z.array(z.string().startsWith('127.0.0.1:', 'is published beyond this host')).optional(),
  volumes: z.array(z.string()).default([]),
  group_add: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  depends_on: names.default([]),
  restart: z.string().optional(),
  init: z.boolean().optional(),
  stop_grace_period: z.string().optional(),
  healthcheck: z.strictObject({
    test: z.array(z.string()),
    interval: z.string(),
    timeout: z.string(),
    retries: z.number(),
    start_period: z.string().optional(),
  }),
});
const compose = z.strictObject({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.null()).default({}),
});

/** Against the format, by `docker compose config` where it is installed; and that what is named is there. */
export const checkCompose = async (): Promise<string[]> => {
  const parsed = compose.safeParse(parse(await readFile(join(root, 'docker-compose.yml'), 'utf8')));
  if (!parsed.success) return parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  const { services, volumes } = parsed.data;
  // Otherwise it reaches nothing of what it deploys.
  const reach = services.core?.network_mode === 'host' ? [] : ['core is not in the network of the host'];
  const each = Object.entries(services).flatMap(([name, { depends_on, volumes: mounts, ...one }]) => [
    ...(one.network_mode === 'host' && one.ports
      ? [`${name} is in the host's network and publishes ports`]
      : []),
    ...depends_on
      .filter((other) => !(other in services))
      .map((other) => `${name} depends on ${other}, which is no service`),
    ...mounts
      .map((mount) => mount.split(':')[0] ?? '')
      .filter((source) => !/^[./]/.test(source) && !(source in volumes))
      .map((source) => `${name} mounts ${source}, which is no volume`),
  ]);
  const problems = [...reach, ...each];
  const { code } = await run('docker', ['compose', 'version']);
  if (code !== 0) {
    console.log('  (docker compose is not installed: its own check of docker-compose.yml is left out)');
    return problems;
  }
  const { code: invalid, output } = await run('docker', [
    'compose',
    '--file',
    'docker-compose.yml',
    'config',
    '--quiet',
  ]);
  return invalid ? [...problems, output] : problems;
};
