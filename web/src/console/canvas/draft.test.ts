import { expect, test } from 'vitest';
import { found } from './catalogue';
import { added, addable, connected, copied, disconnected, edgesOf, removed, renamed, stepsOf, withPart, withStep } from './draft';
import { CATALOGUE } from './fixture';
import type { Members } from './json';

const KINDS = new Map(CATALOGUE.components.map((one) => [one.id, one]));

function add(request: Members, ...ids: string[]): Members {
  return ids.reduce((now, id) => added(now, KINDS.get(id)!, CATALOGUE)!.request, request);
}

const RECIPE = { from: 'preparation', output: 'recipe', to: 'training', input: 'recipe' };
const WHEN = { from: 'evaluation', output: 'metrics', to: 'statistics', input: 'when' };
const MODEL = { from: 'training', output: 'model', to: 'evaluation', input: 'models' };

test('one step is the plain request of its kind', () => {
  const request = add({ project: 'p', name: 'n' }, 'statistics');
  expect(request).toEqual({ project: 'p', name: 'n', kind: 'statistics' });
  expect(stepsOf(request)).toMatchObject([{ id: 'statistics', kind: 'statistics', path: [] }]);
});

test('a second step makes a pipeline, and the settings of the first go along', () => {
  const plain = { ...add({ name: 'n', priority: 7 }, 'training'), rounds: 3 };
  expect(add(plain, 'evaluation')).toEqual({
    name: 'n',
    priority: 7,
    kind: 'pipeline',
    steps: [
      { id: 'training', kind: 'training', rounds: 3 },
      { id: 'evaluation', kind: 'evaluation' },
    ],
  });
});

test('the last step left is a plain request again, unless the pipeline says more', () => {
  const pair = add({ name: 'n' }, 'training', 'statistics');
  expect(removed(pair, 'training', CATALOGUE)).toEqual({ name: 'n', kind: 'statistics' });
  const tried = removed({ ...pair, attempts: 2 }, 'training', CATALOGUE);
  expect(tried).toEqual({ name: 'n', kind: 'pipeline', attempts: 2, steps: [{ id: 'statistics', kind: 'statistics' }] });
  expect(removed({ name: 'n', kind: 'statistics', queries: [] }, 'statistics', CATALOGUE)).toEqual({ name: 'n' });
});

test('a kind that runs alone stands beside nothing', () => {
  expect(added(add({}, 'training'), KINDS.get('sweep')!, CATALOGUE)).toBeNull();
  expect(added(add({}, 'sweep'), KINDS.get('training')!, CATALOGUE)).toBeNull();
  expect(addable(add({}, 'training'), KINDS.get('pipeline')!, CATALOGUE)).toBe(false);
});

test('no more than sixteen steps', () => {
  const many = add({}, ...Array.from({ length: 16 }, () => 'training'));
  expect(stepsOf(many).map((one) => one.id).slice(0, 3)).toEqual(['training', 'training-2', 'training-3']);
  expect(addable(many, KINDS.get('training')!, CATALOGUE)).toBe(false);
});

test('an edge is a reference at the place of the input, both ways', () => {
  const all = add({}, 'preparation', 'training', 'evaluation');
  const one = connected(all, CATALOGUE, RECIPE)!;
  const two = connected(one, CATALOGUE, MODEL)!;
  expect(stepsOf(two)[1]?.body).toMatchObject({ features: { recipe: { step: 'preparation' } } });
  expect(stepsOf(two)[2]?.body).toMatchObject({ models: [{ step: 'training' }] });
  const edges = edgesOf(two, CATALOGUE);
  expect(edges).toMatchObject([RECIPE, MODEL]);
  expect(edges.reduce((now, edge) => disconnected(now, edge), two)).toEqual(all);
});

test('edges of other types and circles are refused', () => {
  const all = add({}, 'preparation', 'training', 'evaluation', 'training');
  expect(connected(all, CATALOGUE, { ...RECIPE, input: 'start' })).toBeNull();
  expect(connected(all, CATALOGUE, { ...MODEL, output: 'metrics' })).toBeNull();
  expect(connected(all, CATALOGUE, { ...RECIPE, to: 'preparation' })).toBeNull();
  const start = { output: 'model', input: 'start' };
  const chain = connected(all, CATALOGUE, { ...start, from: 'training', to: 'training-2' })!;
  expect(connected(chain, CATALOGUE, { ...start, from: 'training-2', to: 'training' })).toBeNull();
});

test('a step comes after what it takes', () => {
  const all = add({}, 'training', 'preparation');
  const drawn = connected(all, CATALOGUE, RECIPE)!;
  expect(stepsOf(drawn).map((one) => one.id)).toEqual(['preparation', 'training']);
});

test('an order without an edge is a need', () => {
  const all = add({}, 'statistics', 'training');
  const drawn = connected(all, CATALOGUE, { from: 'statistics', output: '', to: 'training', input: '' })!;
  expect(stepsOf(drawn)[1]?.body['needs']).toEqual(['statistics']);
  const renamedOne = renamed(drawn, 'statistics', 'survey', CATALOGUE)!;
  expect(stepsOf(renamedOne)[1]?.body['needs']).toEqual(['survey']);
});

test('an edge of figures sets a condition, which follows new names and goes with its edge', () => {
  const models = connected(add({}, 'training', 'training', 'evaluation', 'statistics'), CATALOGUE, MODEL)!;
  const one = connected(models, CATALOGUE, WHEN)!;
  const body = (request: typeof one) => stepsOf(request).find((each) => each.kind === 'statistics')?.body;
  expect(body(one)?.['when']).toEqual({ step: 'evaluation', metric: 'auc', at_least: 0.7 });
  expect(edgesOf(one, CATALOGUE)).toContainEqual({ ...WHEN, path: ['when'] });
  const two = connected(connected(models, CATALOGUE, { ...MODEL, from: 'training-2' })!, CATALOGUE, WHEN)!;
  expect(body(two)?.['when']).toMatchObject({ of: 'training' });
  expect(body(renamed(two, 'training', 'first', CATALOGUE)!)?.['when']).toMatchObject({ of: 'first' });
  expect(body(renamed(two, 'evaluation', 'test', CATALOGUE)!)?.['when']).toMatchObject({ step: 'test' });
  expect(body(disconnected(one, { ...WHEN, path: ['when'] }))?.['when']).toBeUndefined();
  expect(body(removed(one, 'evaluation', CATALOGUE))?.['when']).toBeUndefined();
  expect(connected(one, CATALOGUE, { ...WHEN, from: 'training', output: 'model' })).toBeNull();
  expect(connected(one, CATALOGUE, { ...MODEL, from: 'statistics', output: '' })).toBeNull();
});

test('a new name is followed by what refers to it; names that are taken are refused', () => {
  const all = connected(add({}, 'preparation', 'training'), CATALOGUE, RECIPE)!;
  expect(edgesOf(renamed(all, 'preparation', 'inputs', CATALOGUE)!, CATALOGUE)).toMatchObject([{ ...RECIPE, from: 'inputs' }]);
  expect(renamed(all, 'preparation', 'training', CATALOGUE)).toBeNull();
  expect(renamed(all, 'preparation', 'No Name', CATALOGUE)).toBeNull();
});

test('taking a step away takes away what led from it', () => {
  const all = connected(connected(add({}, 'preparation', 'training', 'evaluation'), CATALOGUE, RECIPE)!, CATALOGUE, MODEL)!;
  const left = removed(all, 'training', CATALOGUE);
  expect(left['steps']).toEqual([
    { id: 'preparation', kind: 'preparation' },
    { id: 'evaluation', kind: 'evaluation' },
  ]);
});

test('a copy has the settings and none of the edges, and a name of its own', () => {
  const all = connected(add({}, 'preparation', 'training'), CATALOGUE, RECIPE)!;
  const body = copied(all, 'training', CATALOGUE)!;
  expect(body).toEqual({ id: 'training', kind: 'training' });
  expect(withStep(all, body).id).toBe('training-2');
  expect(copied({ name: 'n', project: 'p', kind: 'training', rounds: 2 }, 'training', CATALOGUE)).toEqual({ kind: 'training', rounds: 2 });
});

test('parts go to their place: one family, many questions', () => {
  expect(withPart({ kind: 'training', model: { family: 'x' } }, KINDS.get('training.mlp')!)).toEqual({ kind: 'training', model: { family: 'mlp' } });
  const mean = KINDS.get('statistics.mean')!;
  expect(withPart(withPart({ kind: 'statistics' }, mean), mean)['queries']).toEqual([
    { measure: 'mean', name: 'mean' },
    { measure: 'mean', name: 'mean-2' },
  ]);
});

test('a search finds in both languages', () => {
  expect(found(CATALOGUE.components, '神经').map((one) => one.id)).toEqual(['training.mlp']);
  expect(found(CATALOGUE.components, 'NETWORK neural').map((one) => one.id)).toEqual(['training.mlp']);
  expect(found(CATALOGUE.components, 'nothing like it')).toEqual([]);
});
