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
 * Kills a command's process tree: its group, what carries its marker, and descendants of those. First all are halted,
 * again until a look finds nobody new: a halted process forks no more and, unlike a dead one, leaves no room for
 * others below the limit of processes. Linux only, by /proc.
 */
export function killTree(request: KillRequest): void {
  const since = startOf(request.group);
  signal(-request.group, 'SIGSTOP');
  const halted = new Set<number>();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = treeOf(request, since).filter((pid) => !halted.has(pid));
    if (found.length === 0) break;
    for (const pid of found) {
      signal(pid, 'SIGSTOP');
      halted.add(pid);
    }
  }
  signal(-request.group, 'SIGKILL');
  for (let round = 0, empty = 0; round < MAX_ROUNDS && empty < EMPTY_ROUNDS; round++) {
    const found = treeOf(request, since);
    empty = found.length === 0 ? empty + 1 : 0;
    for (const pid of found) signal(pid, 'SIGKILL');
  }
}

function treeOf(request: KillRequest, since: number | undefined): number[] {
  const name = `${request.marker.split('=', 1)[0]}=`;
  const own = new Set([1, process.pid]);
  const entries = readAll().filter((entry) => !own.has(entry.pid));
  const tree = new Set<number>();
  for (const entry of entries) {
    const hidden =
      request.unmarkedToo &&
      since !== undefined &&
      entry.started >= since &&
      entry.parent !== 0 &&
      entry.parent !== process.pid &&
      !entry.environment.includes(name);
    if (hidden || entry.environment.includes(request.marker)) tree.add(entry.pid);
  }
  for (let grew = true; grew; ) {
    grew = false;
    for (const { pid, parent } of entries) {
      if (tree.has(parent) && !tree.has(pid)) {
        tree.add(pid);
        grew = true;
      }
    }
  }
  return [...tree];
}

/** Kills everything that carries `marker`, whatever its group. */
export const killMarked = (marker: string): void => {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const marked = readAll().filter(
      (entry) => entry.pid !== process.pid && entry.environment.includes(marker),
    );
    if (marked.length === 0) return;
    for (const { pid } of marked) signal(pid, 'SIGKILL');
  }
};

function signal(pid: number, name: 'SIGSTOP' | 'SIGKILL'): void {
  try {
    process.kill(pid, name);
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
