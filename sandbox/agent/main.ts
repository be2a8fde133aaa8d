import { once } from 'node:events';
import { rename, rm } from 'node:fs/promises';
import { killMarked } from './processes.ts';
import { ripgrep } from './search.ts';
import { createAgentServer } from './server.ts';
import { createWorkspace } from './workspace.ts';

/*
 * The agent of a sandbox's container (see infra/docker/Dockerfile.sandbox for the directories). It is started again
 * should it die; what it ran is then ended, and lost.
 */
const SOCKET = '/run/comio/agent.sock';

killMarked('COMIO_EXEC=');
const workspace = createWorkspace({
  root: '/workspace',
  stateDirectory: '/var/comio',
  runDirectory: '/run/comio',
  environment: {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: '/home/comio',
    USER: 'comio',
    SHELL: '/bin/bash',
    LANG: 'C.UTF-8',
    // The home is in memory; what is downloaded once is kept on disk.
    npm_config_cache: '/var/comio/cache/npm',
    PIP_CACHE_DIR: '/var/comio/cache/pip',
    npm_config_update_notifier: 'false',
  },
  aloneHere: true,
  search: ripgrep,
});
const server = createAgentServer(workspace);
await rm(`${SOCKET}.new`, { force: true });
server.listen(`${SOCKET}.new`);
await once(server, 'listening');
// Whoever sees the socket can connect: it exists a moment before it listens.
await rename(`${SOCKET}.new`, SOCKET);
