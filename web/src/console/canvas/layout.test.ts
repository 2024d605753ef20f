import { expect, test } from 'vitest';
import type { Edge, Step } from './draft';
import { lanesOf, placed } from './layout';

function edge(from: string, to: string): Edge {
  return { from, to, output: 'recipe', input: 'recipe', path: [] };
}

const STEPS = ['prepare', 'linear', 'network', 'compare'].map(
  (id, index): Step => ({ id, kind: 'training', path: ['steps', index], body: {} }),
);
const WIDE = 220;
const HIGH = 200;

test('an edge to the next step goes straight', () => {
  const edges = [edge('prepare', 'linear'), edge('linear', 'network')];
  expect(lanesOf(edges, placed(STEPS.slice(0, 3), edges, {})).size).toBe(0);
});

test('an edge that skips a step goes around it, in a lane that no step stands in', () => {
  const chain = [edge('prepare', 'linear'), edge('linear', 'network'), edge('network', 'compare')];
  const over = [edge('prepare', 'network'), edge('prepare', 'compare'), edge('linear', 'compare')];
  const places = placed(STEPS, [...chain, ...over], {});
  const lanes = lanesOf([...chain, ...over], places);
  const kept = over.map((one) => lanes.get(one));
  expect(chain.some((one) => lanes.has(one))).toBe(false);
  for (const [at, lane] of kept.entries()) {
    expect(lane).toHaveLength(2);
    const [top, bottom] = lane ?? [];
    const { from, to } = over[at]!;
    for (const [id, place] of Object.entries(places)) {
      if (id === from || id === to) continue;
      const between = place.y < bottom!.y && place.y + HIGH > top!.y;
      const crossed = between && top!.x > place.x && top!.x < place.x + WIDE;
      expect(crossed, `${from} to ${to} behind ${id}`).toBe(false);
    }
  }
  expect(new Set(kept.map((one) => one?.[0]?.x)).size).toBe(over.length);
});

test('steps side by side are gone around as well, wherever they were moved', () => {
  const edges = [edge('prepare', 'network')];
  const moved = { prepare: { x: 0, y: 0 }, linear: { x: 250, y: 0 }, network: { x: 500, y: 0 } };
  const lane = lanesOf(edges, placed(STEPS.slice(0, 3), edges, moved)).get(edges[0]!);
  expect(lane?.[0]?.y).toBeGreaterThan(HIGH);
  expect(lane?.every((one) => one.x > moved.linear.x + WIDE && one.x < moved.network.x)).toBe(true);
});

test('an edge to the second of two steps on a stair goes over the first, and not through it', () => {
  const edges = [
    ...[edge('prepare', 'linear'), edge('prepare', 'network')],
    ...[edge('linear', 'compare'), edge('network', 'compare')],
  ];
  const places = placed(STEPS, edges, {});
  const [top, bottom] = lanesOf(edges, places).get(edges[1]!) ?? [];
  const { prepare, linear, network } = places as Record<string, { x: number; y: number }>;
  expect(linear!.y).toBe(network!.y);
  expect(top!.y).toBeGreaterThanOrEqual(prepare!.y + HIGH);
  expect(top!.y).toBeLessThan(linear!.y);
  for (const one of [top!, bottom!]) {
    expect(one.x).toBeGreaterThan(linear!.x + WIDE);
    expect(one.x).toBeLessThan(network!.x);
  }
});
