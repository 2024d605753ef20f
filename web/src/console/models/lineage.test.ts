import { expect, test } from 'vitest';
import type { Schemas } from '../../api/client';
import { addressOf, treeOf, type Branch, type Relation } from './lineage';

function lineage(model: string, edges: [string, Relation, string][]): Schemas['Lineage'] {
  const ids = [...new Set([model, ...edges.flatMap(([a, , b]) => [a, b])])];
  const nodes = ids.map((id) => ({
    id, kind: id.startsWith('mdl') ? 'model' : 'job', name: id, organisation: 'a', created: 1, detail: {},
  }));
  return {
    model,
    nodes: nodes as Schemas['Node'][],
    edges: edges.map(([source, relation, target]) => ({ source, target, relation })),
    evaluations: [],
    more: false,
  };
}

const drawn = (branches: Branch[]): unknown[] =>
  branches.map((one) => [one.relation, one.node.id, drawn(one.branches)]);

const FAMILY = lineage('mdl_2', [
  ['job_prep', 'recipe', 'job_1'],
  ['job_1', 'released', 'mdl_1'],
  ['mdl_1', 'resumed', 'job_2'],
  ['job_2', 'released', 'mdl_2'],
  ['mdl_2', 'evaluated', 'job_3'],
  ['mdl_2', 'resumed', 'job_4'],
  ['job_4', 'released', 'mdl_3'],
]);

test('what came before a model hangs under it, generation by generation', () => {
  expect(drawn(treeOf(FAMILY, 'before'))).toEqual([
    ['released', 'job_2', [['resumed', 'mdl_1', [['released', 'job_1', [['recipe', 'job_prep', []]]]]]]],
  ]);
});

test('what was made of it too, and neither is in the other', () => {
  expect(drawn(treeOf(FAMILY, 'after'))).toEqual([
    ['evaluated', 'job_3', []],
    ['resumed', 'job_4', [['released', 'mdl_3', []]]],
  ]);
});

test('a circle ends, and what is met twice is drawn once', () => {
  const circle = lineage('mdl_1', [
    ['job_1', 'released', 'mdl_1'],
    ['mdl_1', 'resumed', 'job_1'],
    ['job_0', 'part_of', 'job_1'],
    ['job_0', 'released', 'mdl_1'],
  ]);
  const ids = JSON.stringify(treeOf(circle, 'before')).match(/"id":"\w+"/g);
  expect(ids?.sort()).toEqual(['"id":"job_0"', '"id":"job_1"']);
});

test('a place without a page has no address', () => {
  const [model] = FAMILY.nodes;
  expect(addressOf({ ...model!, kind: 'model', id: 'mdl_1' })).toBe('/models/mdl_1');
  expect(addressOf({ ...model!, kind: 'upload' })).toBe('');
});
