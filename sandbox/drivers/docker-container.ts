import type { ContainerCreateOptions } from 'dockerode';
import type { SandboxSpec } from '../sandbox.ts';

export const LABEL_SANDBOX = 'comio.sandbox';
export const LABEL_KEY = 'comio.key';

/** The user of the image that owns the workspace. */
const UID = 10_001;
/** PID 1, the agent's threads and the relays of connected cores, which a sandbox's own limit does not count. */
const AGENT_PIDS = 32;
const MIB = 1_048_576;

/** The workspace, and what the agent keeps (results of commands with a key, download caches). */
export const volumesOf = (id: string): { workspace: string; state: string } => ({
  workspace: `${id}-workspace`,
  state: `${id}-state`,
});

/** Hardened: see the security section of the documentation; test/sandbox/hardening.test.ts holds each line. */
export function containerOptions(id: string, image: string, spec: SandboxSpec): ContainerCreateOptions {
  const labels = { [LABEL_SANDBOX]: '1', [LABEL_KEY]: spec.key };
  const volumes = volumesOf(id);
  const owned = `uid=${UID},gid=${UID}`;
  const volume = (Source: string, Target: string) => ({
    Type: 'volume' as const,
    Source,
    Target,
    VolumeOptions: { NoCopy: false, Labels: labels, DriverConfig: { Name: 'local', Options: {} } },
  });
  return {
    name: id,
    Image: image,
    Hostname: 'sandbox',
    User: `${UID}:${UID}`,
    Labels: labels,
    // Stopping is killing: nothing in a sandbox is promised a farewell.
    StopSignal: 'SIGKILL',
    HostConfig: {
      Mounts: [volume(volumes.workspace, '/workspace'), volume(volumes.state, '/var/comio')],
      Tmpfs: {
        '/tmp': `rw,exec,nosuid,nodev,mode=1777,size=${Math.ceil(spec.limits.memoryMb / 2)}m`,
        '/home/comio': `rw,exec,nosuid,nodev,mode=700,${owned},size=${Math.ceil(spec.limits.memoryMb / 4)}m`,
        '/run/comio': `rw,noexec,nosuid,nodev,mode=700,${owned},size=1m`,
      },
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      NetworkMode: spec.network,
      Memory: spec.limits.memoryMb * MIB,
      // Equal to Memory: no swap.
      MemorySwap: spec.limits.memoryMb * MIB,
      NanoCpus: Math.round(spec.limits.cpus * 1e9),
      PidsLimit: spec.limits.pids + AGENT_PIDS,
      IpcMode: 'private',
      Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }],
      LogConfig: { Type: 'none', Config: {} },
      RestartPolicy: { Name: 'no' },
    },
  };
}
