/** The parts of a bar, in percent of its length. */
export type Parts = { first: number; second: number; over: boolean };

/** How long two parts of a limit are; what is beyond the limit is cut, and said. */
export function partsOf(first: number, second: number, limit: number | null): Parts {
  const whole = first + second;
  const sound = limit !== null && limit > 0;
  const share = (value: number) => (sound ? Math.min(100, Math.max(0, (100 * value) / limit)) : 0);
  const begins = share(first);
  return {
    first: begins,
    second: share(whole) - begins,
    over: sound ? whole > limit + 1e-9 : whole > 0 && limit !== null,
  };
}
