/** What one piece costs, in cents. */
export const PRICES = { beans: 1450, filter: 390, kettle: 6900, mug: 1200 };
