import { setTimeout as delay } from 'node:timers/promises';
import { HttpError } from './router.js';

/** Of each switch its parameters: [least, most, without a word]. */
const SWITCHES = {
  latency: { ms: [1, 10_000, 400], share: [0, 1, 1] },
  errors: { share: [0, 1, 0.3] },
  leak: { mbPerSecond: [1, 50, 5], maxMb: [1, 512, 200] },
  cpu: { share: [0, 0.95, 0.5] },
};
const SLICE_MS = 100;
const MB = 2 ** 20;

/** Failures to rehearse with: slow or failing order routes, memory that is kept, a busy event loop. All off at first. */
export function createChaos() {
  const on = {};
  const timers = new Map();
  let leaked = [];

  const every = (name, work) => {
    clearInterval(timers.get(name));
    timers.set(name, setInterval(work, SLICE_MS).unref());
  };
  const start = {
    latency: () => {},
    errors: () => {},
    leak({ mbPerSecond, maxMb }) {
      const bytes = Math.ceil((mbPerSecond * MB * SLICE_MS) / 1000);
      every('leak', () => {
        // Written to, or the system gives no memory for it.
        if ((leaked.length + 1) * bytes <= maxMb * MB) leaked.push(Buffer.alloc(bytes, 1));
      });
    },
    cpu({ share }) {
      every('cpu', () => {
        const until = performance.now() + share * SLICE_MS;
        while (performance.now() < until);
      });
    },
  };

  function reset() {
    for (const timer of timers.values()) clearInterval(timer);
    timers.clear();
    leaked = [];
    for (const name of Object.keys(on)) delete on[name];
  }

  return {
    /** The route with what is switched on in front of it. */
    disturb: (route) => ({
      ...route,
      async handle(context) {
        const { latency, errors } = on;
        if (latency && Math.random() < latency.share) await delay(latency.ms);
        if (errors && Math.random() < errors.share) throw new Error('Chaos chose this request to fail');
        return await route.handle(context);
      },
    }),
    routes: [
      {
        method: 'POST',
        path: '/chaos/:switch',
        handle({ params, body }) {
          const name = params.switch;
          if (name === 'reset') reset();
          else if (Object.hasOwn(SWITCHES, name)) {
            on[name] = parse(SWITCHES[name], body ?? {});
            start[name](on[name]);
          } else throw new HttpError(404, `There are ${[...Object.keys(SWITCHES), 'reset'].join(', ')}`);
          return { status: 200, body: on };
        },
      },
    ],
  };
}

function parse(parameters, given) {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(parameters, name));
  if (unknown)
    throw new HttpError(400, `There is no "${unknown}", only ${Object.keys(parameters).join(', ')}`);
  return Object.fromEntries(
    Object.entries(parameters).map(([name, [least, most, usual]]) => {
      const value = given[name] ?? usual;
      if (typeof value !== 'number' || !(value >= least && value <= most))
        throw new HttpError(400, `"${name}" must be a number from ${least} to ${most}`);
      return [name, value];
    }),
  );
}
