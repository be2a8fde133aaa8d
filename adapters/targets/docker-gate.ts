import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type Docker from 'dockerode';
import { createContainer } from './create-container.ts';
import { hasStatus, unless } from './daemon.ts';
import { type GateSpec, gateOptions, LABEL_TARGET } from './docker-container.ts';
import { TargetError } from './target.ts';

/**
 * The gate of an app: a container that holds the network namespace the app joins, on the internal network of the
 * namespace. Its rules (gate.py) let nothing out but answers: an internal network alone still reaches the host, by the
 * address of the bridge. They stand before the app's first instruction, and the app has no capability to change them.
 * Whatever of this is there already is kept.
 */
export async function openGate(docker: Docker, gate: Omit<GateSpec, 'network'>): Promise<void> {
  const container = docker.getContainer(gate.name);
  for (let attempt = 0; ; attempt++) {
    const network = await ensureNetwork(docker, gate.namespace);
    await createContainer(docker, gate.name, gateOptions({ ...gate, network }));
    try {
      await unless([304], () => container.start());
      break;
    } catch (error) {
      // The network it was made for has been removed since, so this one will never start.
      if (!hasStatus(error, 404) || attempt === 2) throw error;
      await unless([404, 409], () => container.remove({ force: true }));
    }
  }
  const script = await readFile(join(import.meta.dirname, 'gate.py'), 'utf8');
  const exec = await container.exec({
    Cmd: ['python3', '-c', script],
    User: '0:0',
    AttachStdout: true,
    AttachStderr: true,
    Tty: true,
  });
  const said = await buffer(await exec.start({ Tty: true }));
  const { ExitCode } = await exec.inspect();
  if (ExitCode !== 0) {
    throw new TargetError(
      'start_failed',
      'The network of the app could not be closed, so it was not started',
      {
        detail: said.toString().trim(),
      },
    );
  }
}

/** The address of the app on this host; undefined when its gate does not run. */
export async function addressOf(docker: Docker, gate: string): Promise<string | undefined> {
  const info = await unless([404], () => docker.getContainer(gate).inspect());
  const [endpoint] = Object.values(info?.NetworkSettings.Networks ?? {});
  return endpoint?.IPAddress || undefined;
}

/**
 * The network for all apps of a namespace, in which they do not reach each other: Docker has room for few networks. The
 * daemon would let two be made of one name at once, and then start nothing in either. So each that is made has a name of
 * its own; whoever then sees an older one takes that, and removes its own.
 */
async function ensureNetwork(docker: Docker, namespace: string): Promise<string> {
  const there = await oldestNetwork(docker, namespace);
  if (there !== undefined) return there;
  const name = `${namespace}-apps-${randomUUID().slice(0, 8)}`;
  const made = await docker.createNetwork({
    Name: name,
    Driver: 'bridge',
    Internal: true,
    Options: { 'com.docker.network.bridge.enable_icc': 'false' },
    Labels: { [LABEL_TARGET]: namespace },
  });
  const chosen = (await oldestNetwork(docker, namespace)) ?? name;
  // 403: another, who did not see the older one yet, uses it.
  if (chosen !== name) await unless([403, 404], () => made.remove());
  return chosen;
}

async function oldestNetwork(docker: Docker, namespace: string): Promise<string | undefined> {
  const filters = JSON.stringify({ label: [`${LABEL_TARGET}=${namespace}`] });
  const [oldest] = (await docker.listNetworks({ filters })).toSorted(
    (a, b) => Date.parse(a.Created) - Date.parse(b.Created) || (a.Id < b.Id ? -1 : 1),
  );
  return oldest?.Name;
}
