import { readdirSync, readFileSync } from 'node:fs';
import { isErrno } from './paths.ts';

/** A process as /proc shows it. */
interface Entry {
  pid: number;
  parent: number;
  /** Clock ticks after boot. */
  started: number;
  environment: string;
}

export interface KillRequest {
  /** The command's own process group. */
  group: number;
  /** `NAME=value` every process of the command has in its environment. */
  marker: string;
  /**
   * Where all processes but the agent's belong to commands (in a container): processes started since the command
   * that have no marker of the name at all went out of their way to hide, and are killed with it.
   */
  unmarkedToo: boolean;
}

const MAX_ROUNDS = 100;
/** A process in the middle of an execve has no environment to read for a moment, so one empty look is not enough. */
const EMPTY_ROUNDS = 2;

/**
 * Kills a command's process tree: its group, what carries its marker, and descendants of those, again until nobody
 * is found (a tree that forks faster than it is read is caught by a later round). Linux only, by /proc.
 */
export function killTree(request: KillRequest): void {
  const own = new Set([1, process.pid]);
  const since = startOf(request.group);
  signal(-request.group);
  const name = `${request.marker.split('=', 1)[0]}=`;
  for (let round = 0, empty = 0; round < MAX_ROUNDS && empty < EMPTY_ROUNDS; round++) {
    const entries = readAll().filter((entry) => !own.has(entry.pid));
    const doomed = new Set<number>();
    for (const entry of entries) {
      const marked = entry.environment.includes(request.marker);
      const hidden =
        request.unmarkedToo &&
        since !== undefined &&
        entry.started >= since &&
        entry.parent !== 0 &&
        entry.parent !== process.pid &&
        !entry.environment.includes(name);
      if (marked || hidden) doomed.add(entry.pid);
    }
    for (let grew = true; grew; ) {
      grew = false;
      for (const { pid, parent } of entries) {
        if (doomed.has(parent) && !doomed.has(pid)) {
          doomed.add(pid);
          grew = true;
        }
      }
    }
    empty = doomed.size === 0 ? empty + 1 : 0;
    for (const pid of doomed) signal(pid);
  }
}

/** Kills everything that carries `marker`, whatever its group. */
export const killMarked = (marker: string): void => {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const marked = readAll().filter(
      (entry) => entry.pid !== process.pid && entry.environment.includes(marker),
    );
    if (marked.length === 0) return;
    for (const { pid } of marked) signal(pid);
  }
};

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH') && !isErrno(error, 'EPERM')) throw error;
  }
}

const readAll = (): Entry[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readEntry(Number(name)))
    .filter((entry) => entry !== undefined);

/** undefined for a process that is gone, a zombie, or another user's. */
function readEntry(pid: number): Entry | undefined {
  const stat = readStat(pid);
  if (stat === undefined || stat.zombie) return undefined;
  const environment = readProc(`/proc/${pid}/environ`);
  return environment === undefined ? undefined : { pid, ...stat, environment: `\0${environment}` };
}

const startOf = (pid: number): number | undefined => readStat(pid)?.started;

/** proc(5), /proc/pid/stat: the name in parentheses may hold anything, so fields count from the last one. */
function readStat(pid: number): { parent: number; started: number; zombie: boolean } | undefined {
  const text = readProc(`/proc/${pid}/stat`);
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined) return undefined;
  return { zombie: fields[0] === 'Z', parent: Number(fields[1]), started: Number(fields[19]) };
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    const gone = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].some((code) => isErrno(error, code));
    if (gone) return undefined;
    throw error;
  }
}
