// For HEALTHCHECK: exits with 0 if the service in this container answers. The image sets the port.
const answer = await fetch('http://127.0.0.1:3000/healthz', { signal: AbortSignal.timeout(4_000) });
process.exitCode = answer.ok ? 0 : 1;
