/** A list that can be waited on to reach a length. */
export const createArrivals = <T>() => {
  const entries: T[] = [];
  let changed = Promise.withResolvers<void>();
  return {
    entries,
    push(entry: T) {
      entries.push(entry);
      changed.resolve();
      changed = Promise.withResolvers();
    },
    async reaches(length: number) {
      while (entries.length < length) await changed.promise;
    },
  };
};
