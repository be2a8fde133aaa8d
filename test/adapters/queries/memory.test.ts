import { createMemoryMetrics } from '#adapters/queries/memory.ts';
import { metricsSourceContract } from '../../contracts/metrics-source.ts';

metricsSourceContract('memory', async (series) => ({
  source: createMemoryMetrics(Map.groupBy(series, ({ name }) => name)),
  async [Symbol.asyncDispose]() {},
}));
