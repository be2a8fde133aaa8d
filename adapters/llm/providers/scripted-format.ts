import { z } from 'zod';

/*
 * A script: what a pretended model says and does.
 *
 *   { "scenarios": [ {
 *       "name": "fix the import",               shown when a request matches nothing
 *       "when": "\\bfix\\b",                    a user message that starts the scenario
 *       "captures": { "tests": "(\\d+) passed" },
 *       "steps": [
 *         { "text": "I will run the tests.", "toolCalls": [{ "name": "run_command", "input": { "command": "npm test" } }] },
 *         { "toolCalls": [{ "name": "read_file", "input": { "path": "a.js" } }],
 *           "variants": [{ "when": { "lastToolIsError": false }, "text": "Nothing to fix, {{tests}} passed." }] }
 *       ],
 *       "steering": [{ "pattern": "edge case", "steps": [{ "toolCalls": [ … ] }] }],
 *       "final": "Fixed, {{tests}} tests pass."
 *   } ] }
 *
 * - Regular expressions ignore case and need not match the whole text.
 * - The user message that matches a scenario's `when` last starts it (of several the first in the file). One answer
 *   of the model is one step; when all are used, `final` is said.
 * - A user message while a scenario runs that matches one of its `steering` patterns puts those steps next, before
 *   the plan goes on. Any other message while it runs changes nothing, unless it starts a scenario; one after its end
 *   is a request the script does not know, unless it is Comio's own ("Comio: …").
 * - The first of a step's `variants` whose conditions all hold takes the place of the step's text and calls.
 * - `captures` take the last match of their first group from the scenario's messages of user and tools; `{{name}}`
 *   stands for it in texts and, at any depth, in the strings of tool inputs; a string that is `{{#name}}` and nothing
 *   else becomes the number.
 * - `delayMs` (milliseconds) is how long an answer takes; without it none.
 */

const pattern = z.string().transform((source, context) => {
  try {
    return new RegExp(source, 'i');
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
    return z.NEVER;
  }
});

const answer = {
  text: z.string().optional(),
  toolCalls: z.array(z.strictObject({ name: z.string().min(1), input: z.unknown() })).default([]),
};

const condition = z.strictObject({
  /** On the content of the last tool result. */
  lastToolMatches: pattern.optional(),
  lastToolIsError: z.boolean().optional(),
  /** On any message people sent after the one that started the scenario. */
  steered: pattern.optional(),
});

const step = z.strictObject({
  ...answer,
  delayMs: z.number().int().min(0).optional(),
  variants: z.array(z.strictObject({ when: condition, ...answer })).default([]),
});

const scenario = z
  .strictObject({
    name: z.string().min(1),
    when: pattern,
    captures: z.record(z.string(), pattern).default({}),
    steps: z.array(step).min(1),
    steering: z.array(z.strictObject({ pattern, steps: z.array(step).min(1) })).default([]),
    final: z.string().default('Done.'),
  })
  .superRefine((value, context) => {
    for (const name of placeholders(JSON.stringify(value)))
      if (!Object.hasOwn(value.captures, name))
        context.addIssue({ code: 'custom', message: `{{${name}}} is not among the captures` });
  });

export const scriptSchema = z.strictObject({ scenarios: z.array(scenario).min(1) });

export type Script = z.output<typeof scriptSchema>;
export type Scenario = z.output<typeof scenario>;
export type ScriptStep = z.output<typeof step>;
export type ScriptCondition = z.output<typeof condition>;

export const PLACEHOLDER = /\{\{\s*(\w+)\s*\}\}/g;
export const NUMBER = /^\{\{#(\w+)\}\}$/;
const placeholders = (text: string) =>
  [...text.matchAll(/\{\{\s*#?(\w+)\s*\}\}/g)].map((match) => match[1] ?? '');
