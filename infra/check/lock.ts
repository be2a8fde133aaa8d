import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { root } from './command.ts';

const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.object({
      resolved: z.string().optional(),
      link: z.boolean().optional(),
      optionalDependencies: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

/**
 * That `npm ci` accepts package-lock.json on every machine. npm leaves a platform's package out when the registry it
 * was run against does not have it, and then refuses the lock file everywhere. And that it names no registry.
 */
export const checkLock = async (): Promise<string[]> => {
  const { packages } = lockFile.parse(JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')));
  const has = (from: string, name: string) =>
    `${from}/node_modules/${name}` in packages || `node_modules/${name}` in packages;
  return Object.entries(packages).flatMap(([path, { resolved, optionalDependencies = {} }]) => [
    ...Object.keys(optionalDependencies)
      .filter((name) => !has(path, name))
      .map((name) => `${path} can depend on ${name}, which is missing`),
    ...(resolved?.startsWith('http') ? [`${path} names a registry: ${resolved}`] : []),
  ]);
};
