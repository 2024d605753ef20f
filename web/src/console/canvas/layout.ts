/** Where steps stand that nobody has moved: by their depth, from left to right. */
import type { Edge, Step } from './draft';
import type { Place } from './history';

const ACROSS = 290;
const DOWN = 190;
const COLUMNS = 3;

/** A place for every step; those that were moved stay where they are. */
export function placed(
  steps: readonly Step[],
  edges: readonly Edge[],
  moved: Record<string, Place>,
): Record<string, Place> {
  const depth = new Map<string, number>();
  const deep = (id: string, seen: ReadonlySet<string>): number => {
    const known = depth.get(id);
    if (known !== undefined) return known;
    if (seen.has(id)) return 0;
    const before = edges.filter((one) => one.to === id).map((one) => one.from);
    const found = Math.max(-1, ...before.map((one) => deep(one, new Set([...seen, id])))) + 1;
    depth.set(id, found);
    return found;
  };
  const rows = new Map<number, number>();
  const loose = edges.length === 0;
  return Object.fromEntries(
    steps.map((step, index) => {
      const column = loose ? index % COLUMNS : deep(step.id, new Set());
      const row = rows.get(column) ?? 0;
      rows.set(column, row + 1);
      return [step.id, moved[step.id] ?? { x: column * ACROSS, y: row * DOWN }];
    }),
  );
}
