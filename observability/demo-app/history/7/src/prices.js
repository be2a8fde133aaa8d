/** What one piece costs, in cents. */
export const PRICES = { beans: 1450, filter: 390, kettle: 6900, mug: 1200 };

/** From how many pieces on there is how much off. */
const TIERS = [
  { from: 1, percent: 0 },
  { from: 10, percent: 5 },
  { from: 50, percent: 10 },
];

/** The tier of each quantity, worked out once instead of searched for with every order. */
const TIER_OF = Array.from({ length: TIERS.at(-1).from + 1 }, (_, quantity) =>
  TIERS.findLast(({ from }) => quantity >= from),
);

const tierOf = (quantity) => TIER_OF[quantity];

/** In cents, rounded to the shop's disadvantage. */
export function priceOf({ item, quantity }) {
  const { percent } = tierOf(quantity);
  return { discount: percent, cents: Math.floor((PRICES[item] * quantity * (100 - percent)) / 100) };
}
