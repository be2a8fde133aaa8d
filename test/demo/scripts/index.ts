import { createScenarios } from './create.ts';
import { editScenarios } from './edit.ts';
import { incidentScenarios } from './incident.ts';

/** Everything the scripted model knows in the demo. */
export const demoScript = { scenarios: [...createScenarios, ...editScenarios, ...incidentScenarios] };
