/** Where steps stand that nobody has moved: down the stairs by their depth, side by side on one. */
import type { Edge, Step } from './draft';
import type { Place } from './history';

const ACROSS = 250;
/** A training at three owners, with its family and its state, is 205 high. */
const DOWN = 240;
const STAIR = 130;
const COLUMNS = 2;
const PARTS = 40;

/** The height and width of a step, as far as edges have to go around it. */
const HIGH = 215;
const WIDE = 220;
const BESIDE = 40;
/** Half of what is free between steps that stand side by side. */
const GAP = 15;
/** How far an edge goes on from its source before it turns. */
const OUT = 16;

/** The corners around which an edge goes; none where the straight way is free. */
export type Lane = readonly Place[];

/**
 * The ways of the edges whose straight way is not free: where a step stands between their ends, or
 * the target stands at the left of where the edge leaves its source, so that it would run behind
 * both. Each goes along the first of the ways around that no step stands in; several such edges
 * have lanes of their own.
 */
export function lanesOf(edges: readonly Edge[], places: Record<string, Place>): Map<Edge, Lane> {
  const found = new Map<Edge, Lane>();
  const into = new Map<string, number>();
  const steps = Object.values(places);
  for (const edge of edges) {
    const from = places[edge.from];
    const to = places[edge.to];
    if (!from || !to || edge.from === edge.to) continue;
    const between = Object.entries(places).flatMap(([id, one]) =>
      id !== edge.from && id !== edge.to && crosses(one, from, to) ? [one] : [],
    );
    if (!between.length && to.x >= from.x + WIDE) continue;
    const taken = into.get(edge.to) ?? 0;
    into.set(edge.to, taken + 1);
    const ways = around(from, to, between, { taken, all: found.size });
    const free = ways.find((lane) => steps.every((one) => !meets(one, from, to, lane)));
    const last = ways.at(-1);
    if (free ?? last) found.set(edge, (free ?? last) as Lane);
  }
  return found;
}

/** Ways around, the shortest first: between the rows, and last in a lane at the left of all. */
function around(
  from: Place,
  to: Place,
  between: readonly Place[],
  { taken, all }: { taken: number; all: number },
): Lane[] {
  const x = to.x - GAP + 4 * (taken % 3);
  const apart = 4 * (all % 3);
  const ending = { x, y: to.y + BESIDE };
  const under = from.y + HIGH + BESIDE / 4;
  if (Math.abs(to.y - from.y) < HIGH) {
    const below = Math.max(from.y, to.y, ...between.map((one) => one.y)) + HIGH + BESIDE / 4;
    return [[{ x, y: below + GAP * all }, ending]];
  }
  const left = Math.min(from.x + WIDE, to.x, ...between.map((one) => one.x));
  const outside = left - BESIDE * (1 + all);
  return [
    [{ x, y: (to.y > from.y ? to.y : from.y) - 6 - apart }, ending],
    [{ x, y: under - apart }, ending],
    [
      { x: outside, y: under },
      { x: outside, y: to.y + BESIDE },
    ],
  ];
}

/** The corners of an edge along a lane, between points at its source's right and its target's left. */
export function cornersOf(source: Place, target: Place, lane: Lane): Place[] {
  const [first] = lane;
  return [
    source,
    { x: source.x + OUT, y: source.y },
    ...(first ? [{ x: source.x + OUT, y: first.y }] : []),
    ...lane.map((one, at) => (at === lane.length - 1 ? { x: one.x, y: target.y } : one)),
    target,
  ];
}

/** Whether an edge along a lane runs through a step. */
export function meets(step: Place, from: Place, to: Place, lane: Lane): boolean {
  const source = { x: from.x + WIDE, y: from.y + BESIDE };
  const corners = cornersOf(source, { x: to.x, y: to.y + BESIDE }, lane);
  return corners.slice(1).some((end, at) => {
    const start = corners[at] ?? end;
    const [left, right] = [Math.min(start.x, end.x), Math.max(start.x, end.x)];
    const [top, bottom] = [Math.min(start.y, end.y), Math.max(start.y, end.y)];
    return right > step.x && left < step.x + WIDE && bottom > step.y && top < step.y + HIGH;
  });
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
