/** Where steps stand that nobody has moved: down the stairs by their depth, side by side on one. */
import type { Edge, Step } from './draft';
import type { Place } from './history';

const ACROSS = 250;
/** A training at three owners, with its family and its state, is 185 high. */
const DOWN = 220;
const STAIR = 130;
const COLUMNS = 2;
const PARTS = 40;

/** The height and width of a step, as far as edges have to go around it. */
const HIGH = 200;
const WIDE = 220;
const BESIDE = 40;
/** Half of what is free between steps that stand side by side. */
const GAP = 15;

/** The corners around which an edge goes; none where the straight way is free. */
export type Lane = readonly Place[];

/**
 * The way of an edge that skips steps: around those which stand between its ends, in a lane of its
 * own at their left; of several such edges each has another lane.
 */
export function lanesOf(edges: readonly Edge[], places: Record<string, Place>): Map<Edge, Lane> {
  const found = new Map<Edge, Lane>();
  for (const edge of edges) {
    const from = places[edge.from];
    const to = places[edge.to];
    if (!from || !to) continue;
    const between = Object.entries(places).flatMap(([id, one]) =>
      id !== edge.from && id !== edge.to && crosses(one, from, to) ? [one] : [],
    );
    if (!between.length) continue;
    const below = Math.max(from.y, ...between.map((one) => one.y)) + HIGH + BESIDE / 4;
    if (Math.abs(to.y - from.y) < HIGH) {
      found.set(edge, [
        { x: to.x - GAP, y: below + GAP * found.size },
        { x: to.x - GAP, y: to.y + BESIDE },
      ]);
      continue;
    }
    if (to.y > from.y && between.every((one) => Math.abs(one.y - to.y) < HIGH)) {
      // Only steps beside the target are in the way: over them, and down in front of it.
      const above = to.y - BESIDE / 4;
      found.set(edge, [
        { x: to.x - GAP, y: above },
        { x: to.x - GAP, y: to.y + BESIDE },
      ]);
      continue;
    }
    const left = Math.min(from.x + WIDE, to.x, ...between.map((one) => one.x));
    const x = left - BESIDE * (1 + found.size);
    const down = from.y + HIGH + BESIDE / 4;
    found.set(edge, [
      { x, y: down },
      { x, y: to.y + BESIDE },
    ]);
  }
  return found;
}

/** Whether a step stands in the way of the straight line from the right of one to the left of another. */
function crosses(step: Place, from: Place, to: Place): boolean {
  const start = { x: from.x + WIDE, y: from.y + HIGH / 2 };
  const end = { x: to.x, y: to.y + HIGH / 2 };
  const [top, bottom] = [Math.min(start.y, end.y), Math.max(start.y, end.y)];
  for (let part = 1; part < PARTS; part += 1) {
    const x = start.x + ((end.x - start.x) * part) / PARTS;
    const y = start.y + ((end.y - start.y) * part) / PARTS;
    const inside = x > step.x && x < step.x + WIDE && y > step.y && y < step.y + HIGH;
    if (inside && y >= top && y <= bottom) return true;
  }
  return false;
}

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
