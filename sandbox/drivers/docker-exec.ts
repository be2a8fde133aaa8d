import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import type Docker from 'dockerode';
import { type AgentClient, ConnectionLost, connectAgent } from '../agent/client.ts';
import { hasStatus } from '../docker-client.ts';
import { SandboxError } from '../sandbox.ts';

/** The agent makes its socket when it is ready; a container that has just started is a moment before that. */
const CONNECT =
  'until [ -S /run/comio/agent.sock ]; do sleep 0.01; done; exec nc -N -U /run/comio/agent.sock';
const CONNECT_MS = 20_000;

/**
 * A connection to the agent in a container, through one `docker exec` that lives as long as the connection: what
 * follows costs no further exec. Throws `not_running` when the container does not run or does not exist.
 */
export async function openChannel(docker: Docker, container: string): Promise<AgentClient> {
  const until = performance.now() + CONNECT_MS;
  for (;;) {
    try {
      return await connectOnce(docker, container, until - performance.now());
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      if (performance.now() < until) continue;
      throw new SandboxError('not_running', `The agent of ${container} does not answer`, { cause: error });
    }
  }
}

/** Throws ConnectionLost when the agent ended (it is started again) or said nothing for `ms`. */
async function connectOnce(docker: Docker, container: string, ms: number): Promise<AgentClient> {
  const socket = await startRelay(docker, container);
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  docker.modem.demuxStream(socket, stdout, stderr);
  stderr.resume();
  socket.on('close', () => stdout.end());
  const timer = setTimeout(() => socket.destroy(), ms);
  try {
    return await connectAgent(stdout, socket);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function startRelay(docker: Docker, container: string): Promise<Socket> {
  try {
    const exec = await docker.getContainer(container).exec({
      Cmd: ['sh', '-c', CONNECT],
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
    });
    // An upgraded connection is the plain socket of it.
    return (await exec.start({ hijack: true, stdin: true })) as Socket;
  } catch (error) {
    // 500 is what the daemon says of a container that ended between the two calls.
    if (!hasStatus(error, 404, 409, 500)) throw error;
    throw new SandboxError('not_running', `The sandbox ${container} does not run`, { cause: error });
  }
}
