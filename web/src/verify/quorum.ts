/** How many of N organisations it takes, and how many may collude (`secureflow.domain.quorum`). */

/** Return c: max(1, ⌈N/3⌉ − 1). */
export function colludersOf(parties: number): number {
  return Math.max(1, Math.ceil(parties / 3) - 1);
}

/** Return ⌊2N/3⌋ + 1: two quorums always share an honest member. */
export function quorumOf(parties: number): number {
  return Math.floor((2 * parties) / 3) + 1;
}
