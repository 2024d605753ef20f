/** The own entries of a job, as a table shows them. */
export type OwnLeaf = { kind: string; hash: string; proved: boolean };

/** Reads them; what is no text counts as empty, and only what is true as proved. */
export function readLeaves(leaves: readonly Record<string, unknown>[]): OwnLeaf[] {
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return leaves.map((one) => ({
    kind: text(one['kind']),
    hash: text(one['hash']),
    proved: one['proved'] === true,
  }));
}
