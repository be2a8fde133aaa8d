import { createStages } from './create.ts';
import { editStages, undoStages } from './edit.ts';
import { incidentStages } from './incident.ts';
import type { Part, Stage } from './stage.ts';

export type { Part, Stage } from './stage.ts';

const all: readonly Stage[] = [...createStages, ...editStages, ...incidentStages, ...undoStages];

export const PARTS: readonly Part[] = ['create', 'edit', 'incident'];

/** In the order they are walked; all parts where none is named. */
export const stagesOf = (parts: readonly Part[]): readonly Stage[] =>
  parts.length === 0 ? all : all.filter(({ part }) => parts.includes(part));
