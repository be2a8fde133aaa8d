// For HEALTHCHECK: exits with 0 if the service in this container answers. The image sets the port; who runs the service
// at another says which.
const [port = '3000'] = process.argv.slice(2);
const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(4_000) });
process.exitCode = answer.ok ? 0 : 1;
