import type Docker from 'dockerode';
import { createDockerClient } from '#sandbox/docker-client.ts';
import { createDockerDriver } from '#sandbox/drivers/docker.ts';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import { silentLog } from './silent-log.ts';

/** The daemon tests run against: the one of this machine, or of DOCKER_HOST where CI sets it. */
export const dockerHost = process.env.DOCKER_HOST;

export const dockerClient = (): Docker => createDockerClient(dockerHost);

export const dockerDriver = (): SandboxDriver => createDockerDriver({ dockerHost, log: silentLog });
