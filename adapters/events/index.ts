import { z } from 'zod';
import type { BusFactory } from './bus-factory.ts';
import { createMemoryBus } from './memory.ts';
import { createPostgresBus } from './postgres.ts';

export const buses = {
  memory: async (resources) => createMemoryBus(resources),
  postgres: createPostgresBus,
} satisfies Record<string, BusFactory>;

export const env = {
  EVENT_BUS: {
    schema: z.enum(['postgres', 'memory']).default('postgres'),
    help: '`postgres`: events outlive a crash, in the database. `memory`: they do not.',
  },
};
