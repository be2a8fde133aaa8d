import { z } from 'zod';

/** Dollars for a million tokens, by kind. */
const price = z.strictObject({
  input: z.number().min(0),
  output: z.number().min(0),
  cacheRead: z.number().min(0).optional(),
  cacheWrite: z.number().min(0).optional(),
});
const prices = z.record(z.string(), price);

export const env = {
  LLM_PRICES: {
    schema: z
      .string()
      .transform((text, context) => {
        const parsed = prices.safeParse(jsonOf(text));
        if (parsed.success) return parsed.data;
        context.addIssue('must be JSON such as {"a-model":{"input":3,"output":15}}');
        return z.NEVER;
      })
      .optional(),
    help: 'Dollars for a million tokens by model, JSON: `{"MODEL":{"input":3,"output":15,"cacheRead":0.3,"cacheWrite":3.75}}`; a model without a price is not counted.',
  },
};

export type ModelPrices = z.output<typeof prices>;

interface Usage {
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
}

/** Dollars; undefined without a price. Cached tokens without one of their own cost what input does. */
export function costOf(known: ModelPrices | undefined, model: string, usage: Usage): number | undefined {
  const found = known && Object.hasOwn(known, model) ? known[model] : undefined;
  if (!found) return undefined;
  const { input, output, cacheRead = input, cacheWrite = input } = found;
  const millionths =
    usage.input * input + usage.output * output + usage.cacheRead * cacheRead + usage.cacheWrite * cacheWrite;
  return millionths / 1_000_000;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Not JSON is as wrong as any other shape; the schema says what is right.
    return error;
  }
}
