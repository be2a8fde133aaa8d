import { createServer } from 'node:http';
import { createApp } from './app.js';
import { createLog } from './log.js';

const { PORT = '3000' } = process.env;
const log = createLog((line) => process.stdout.write(`${line}\n`));
const server = createServer(createApp({ log }));

server.listen(Number(PORT), () => log('info', 'Shop is open', { port: server.address().port }));
