import type { ContainerCreateOptions } from 'dockerode';
import type { InstanceSpec } from './target.ts';

/** On everything of ours; its value is the namespace. */
export const LABEL_TARGET = 'comio.target';
export const LABEL_KEY = 'comio.target.key';
/** `app` or `gate`. */
export const LABEL_ROLE = 'comio.target.role';
export const LABEL_PORT = 'comio.target.port';
/** The labels of the spec as JSON: those of an image would be among the container's own. */
export const LABEL_LABELS = 'comio.target.labels';

const MIB = 1_048_576;

/** What holds for the app and for its gate. */
const HARDENED = {
  ReadonlyRootfs: true,
  CapDrop: ['ALL'],
  IpcMode: 'private',
  Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }],
  // Whether it is started again is the core's decision.
  RestartPolicy: { Name: 'no' },
};

/** An app, hardened; it lives in the network namespace of its gate. test/adapters/targets holds each line. */
export function appOptions(gate: string, namespace: string, spec: InstanceSpec): ContainerCreateOptions {
  const env = { PORT: String(spec.port), ...spec.env };
  return {
    Image: spec.image,
    Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
    Labels: {
      ...spec.labels,
      [LABEL_TARGET]: namespace,
      [LABEL_KEY]: spec.key,
      [LABEL_ROLE]: 'app',
      [LABEL_PORT]: String(spec.port),
      [LABEL_LABELS]: JSON.stringify(spec.labels),
    },
    // The core asks the app over HTTP, as its users do.
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      ...HARDENED,
      SecurityOpt: ['no-new-privileges:true'],
      NetworkMode: `container:${gate}`,
      // PID 1 ignores a signal it has no handler for; with an init, SIGTERM ends an app that has none.
      Init: true,
      Tmpfs: { '/tmp': `rw,noexec,nosuid,nodev,mode=1777,size=${Math.ceil(spec.limits.memoryMb / 2)}m` },
      Memory: spec.limits.memoryMb * MIB,
      // Equal to Memory: no swap.
      MemorySwap: spec.limits.memoryMb * MIB,
      NanoCpus: Math.round(spec.limits.cpus * 1e9),
      PidsLimit: spec.limits.pids,
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    },
  };
}

export interface GateSpec {
  name: string;
  /** Has Python 3. */
  image: string;
  network: string;
  namespace: string;
  key: string;
}

/** Holds the network namespace; nothing of the project runs in it. */
export function gateOptions({ image, network, namespace, key }: GateSpec): ContainerCreateOptions {
  return {
    Image: image,
    User: '65534:65534',
    Entrypoint: ['sleep'],
    Cmd: ['infinity'],
    Labels: { [LABEL_TARGET]: namespace, [LABEL_KEY]: key, [LABEL_ROLE]: 'gate' },
    Healthcheck: { Test: ['NONE'] },
    StopSignal: 'SIGKILL',
    HostConfig: {
      ...HARDENED,
      // For the one command that sets up the rules, as root, who gains it when that begins: so no-new-privileges is
      // for the app alone. `sleep` has no capability.
      CapAdd: ['NET_ADMIN'],
      NetworkMode: network,
      // Docker's resolver would hand questions on for the app from the host. This address is nobody's (RFC 5737).
      Dns: ['192.0.2.1'],
      Memory: 48 * MIB,
      MemorySwap: 48 * MIB,
      PidsLimit: 16,
      LogConfig: { Type: 'none', Config: {} },
    },
  };
}
