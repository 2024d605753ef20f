import { expect, test } from 'vitest';
import type { Edge, Step } from './draft';
import { lanesOf, meets, placed } from './layout';

function edge(from: string, to: string): Edge {
  return { from, to, output: 'recipe', input: 'recipe', path: [] };
}

const STEPS = ['prepare', 'linear', 'network', 'compare'].map(
  (id, index): Step => ({ id, kind: 'training', path: ['steps', index], body: {} }),
);
const WIDE = 220;
const HIGH = 200;

test('an edge to a step at its right goes straight', () => {
  const edges = [edge('prepare', 'linear'), edge('linear', 'network')];
  const moved = { linear: { x: 260, y: 90 }, network: { x: 520, y: 0 } };
  expect(lanesOf(edges, placed(STEPS.slice(0, 3), edges, moved)).size).toBe(0);
});

test('an edge to the left, below or above, runs behind neither of its ends', () => {
  const down = [edge('prepare', 'linear'), edge('linear', 'network'), edge('network', 'compare')];
  const stairs = placed(STEPS, down, {});
  const up = { linear: { x: 0, y: 0 }, prepare: { x: 130, y: 300 } };
  const beside = { linear: { x: 0, y: 0 }, prepare: { x: 250, y: 30 } };
  const drawings = [stairs, placed(STEPS.slice(0, 2), down.slice(0, 1), up), placed(STEPS.slice(0, 2), down.slice(0, 1), beside)];
  for (const places of drawings) {
    const edges = down.filter((one) => places[one.to]);
    const lanes = lanesOf(edges, places);
    for (const one of edges) {
      const lane = lanes.get(one);
      expect(lane, `${one.from} to ${one.to} goes around`).toBeDefined();
      for (const [id, place] of Object.entries(places)) {
        const through = meets(place, places[one.from]!, places[one.to]!, lane!);
        expect(through, `${one.from} to ${one.to} behind ${id}`).toBe(false);
      }
    }
  }
});

test('an edge that skips a step goes around it, in a lane that no step stands in', () => {
  const chain = [edge('prepare', 'linear'), edge('linear', 'network'), edge('network', 'compare')];
  const over = [edge('prepare', 'network'), edge('prepare', 'compare'), edge('linear', 'compare')];
  const places = placed(STEPS, [...chain, ...over], {});
  const lanes = lanesOf([...chain, ...over], places);
  const kept = over.map((one) => lanes.get(one));
  for (const [at, lane] of kept.entries()) {
    expect(lane).toHaveLength(2);
    const { from, to } = over[at]!;
    for (const [id, place] of Object.entries(places)) {
      const crossed = meets(place, places[from]!, places[to]!, lane!);
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
    edge('prepare', 'linear'),
    edge('prepare', 'network'),
    edge('linear', 'compare'),
    edge('network', 'compare'),
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
