import Docker from 'dockerode';

/** On every container that the files of a test run share: the process id of the run. */
export const RUN_LABEL = 'comio.test.run';

/** Removes the containers of `run`, and those of runs whose process is gone. */
export const removeContainers = async (run: string): Promise<void> => {
  const docker = new Docker();
  const containers = await docker.listContainers({ all: true, filters: { label: [RUN_LABEL] } });
  for (const { Id, Labels } of containers) {
    const owner = Labels[RUN_LABEL];
    if (owner === run || !isAlive(Number(owner)))
      await docker.getContainer(Id).remove({ force: true, v: true });
  }
};

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    // ESRCH: there is no such process.
    return false;
  }
};
