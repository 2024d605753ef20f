/** Decimal numbers, exactly: figures and limits have more digits than a double. */

/** `digits` × 10 to the power of `power`. */
export interface Decimal {
  readonly digits: bigint;
  readonly power: number;
}

const FORM = /^(-?)([0-9][0-9,]*)(?:\.([0-9]+))?(?:e([+-]?[0-9]+))?$/;

/** Read a decimal number of a known form; commas group its digits. */
export function decimalOf(text: string): Decimal {
  const found = FORM.exec(text);
  if (found === null) throw new Error(`no decimal number: ${text}`);
  const [, sign = '', whole = '', decimals = '', power = '0'] = found;
  const digits = BigInt(whole.replaceAll(',', '') + decimals);
  return { digits: sign ? -digits : digits, power: Number(power) - decimals.length };
}

/** Return 10 to a power. */
export function ten(power: number): Decimal {
  return { digits: 1n, power };
}

/** Tell whether one is less than another. */
export function less(one: Decimal, other: Decimal): boolean {
  const [first, second] = aligned([one, other]);
  return first! < second!;
}

/** Tell whether two are apart by no more than half of the sum of some others. */
export function within(one: Decimal, other: Decimal, units: readonly Decimal[]): boolean {
  const [first = 0n, second = 0n, ...rest] = aligned([one, other, ...units]);
  const apart = first < second ? second - first : first - second;
  return 2n * apart <= rest.reduce((sum, unit) => sum + unit, 0n);
}

/** Return the power of the first digit; null for zero. */
export function firstPower({ digits, power }: Decimal): number | null {
  const text = String(digits < 0n ? -digits : digits);
  return digits === 0n ? null : text.length - 1 + power;
}

function aligned(numbers: readonly Decimal[]): bigint[] {
  const lowest = Math.min(...numbers.map((one) => one.power));
  return numbers.map((one) => one.digits * 10n ** BigInt(one.power - lowest));
}
