/** One JSON object for each line; an error says where in the shop it was thrown. */
export const createLog = (write) => (level, msg, fields, error) =>
  write(
    JSON.stringify({
      time: new Date().toISOString(),
      level,
      msg,
      ...fields,
      ...(error ? { error: error.name, at: placeOf(error), stack: error.stack } : {}),
    }),
  );

/** `src/orders.js:12` of the first line of the stack that is ours. */
const placeOf = ({ stack }) => /\b(src\/[\w-]+\.js:\d+)/.exec(stack ?? '')?.[1];
