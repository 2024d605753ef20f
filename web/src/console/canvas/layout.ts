/** Where steps stand that nobody has moved: down the stairs by their depth, side by side on one. */
import type { Edge, Step } from './draft';
import type { Place } from './history';

const ACROSS = 250;
/** A training at three owners, with its family and its state, is 185 high. */
const DOWN = 220;
const STAIR = 130;
const COLUMNS = 2;

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
  const beside = new Map<number, number>();
  const loose = edges.length === 0;
  return Object.fromEntries(
    steps.map((step, index) => {
      const down = loose ? Math.floor(index / COLUMNS) : deep(step.id, new Set());
      const across = loose ? index % COLUMNS : (beside.get(down) ?? 0);
      beside.set(down, across + 1);
      const x = across * ACROSS + (loose ? 0 : down * STAIR);
      return [step.id, moved[step.id] ?? { x, y: down * DOWN }];
    }),
  );
}
