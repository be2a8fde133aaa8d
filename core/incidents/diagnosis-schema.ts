import { z } from 'zod';

export const CATEGORIES = [
  'code',
  'configuration',
  'dependency',
  'load',
  'infrastructure',
  'data',
  'unknown',
] as const;

const statement = z.object({
  text: z.string().min(1).describe('One statement. Numbers and quotes exactly as in the evidence.'),
  evidence: z.array(z.number().int()).describe('Numbers of the evidence it rests on.'),
});
export type Statement = z.infer<typeof statement>;

/** What the model is asked for. */
export const diagnosisAnswer = z.object({
  rootCause: statement
    .nullable()
    .describe('What made it happen, as far up as the evidence reaches; null when it does not show it.'),
  category: z.enum(CATEGORIES),
  confidence: z.number().min(0).max(1).describe('That the root cause is right.'),
  claims: z.array(statement).max(12).describe('The steps from the evidence to the root cause.'),
  nextActions: z.array(z.string().min(1)).max(5).describe('What people could do now, most useful first.'),
});
export type DiagnosisAnswer = z.infer<typeof diagnosisAnswer>;
