import { dockerDriver } from './docker.ts';

/*
 * A process that stands for a core: it opens the sandbox named by its first argument, starts the command of the
 * second under the key of the third (none: without a key), and prints what comes. Tests end it with SIGKILL.
 */
const [id = '', command = '', key] = process.argv.slice(2);
await using driver = dockerDriver();
const sandbox = await driver.open(id);
await sandbox?.exec(command, { key, onOutput: (text) => process.stdout.write(text) });
