import { expect, test } from 'vitest';
import { asksOf } from './asked';
import { differences } from './difference';
import { CATALOGUE } from './fixture';
import { requestOf } from './fromspec';
import { begun, changed, redone, undone } from './history';
import { put, same, type Members } from './json';
import { placed } from './layout';
import { located } from './problems';
import { bareSchema, emptyOf, fieldsOf, shapeOf } from './schema';
import { variantOf } from './variants';
import { parsed } from './store';
import { titlesOf } from './titles';
import { asText, stepIn } from './useKeys';

const DEFS = CATALOGUE.$defs;

test('fields: what is constant is none, experts and common ones are marked', () => {
  const fields = fieldsOf({ $ref: '#/$defs/training' }, DEFS);
  expect(fields.map((one) => one.name)).toEqual(['project', 'name', 'model', 'rounds']);
  expect(fields[3]).toMatchObject({ expert: true, usual: 10, nullable: false });
  expect(fields[0]).toMatchObject({ common: true, picks: 'project' });
  expect(fields[2]?.nullable).toBe(true);
});

test('shapes follow the schema', () => {
  const shape = (schema: Record<string, unknown>) => shapeOf(schema, CATALOGUE).is;
  expect(shape({ anyOf: [{ type: 'integer' }, { type: 'null' }] })).toBe('number');
  expect(shape({ enum: ['a'] })).toBe('choice');
  expect(shape({ type: 'array', items: { enum: ['a'] } })).toBe('choices');
  expect(shape({ type: 'array', items: { type: 'number' } })).toBe('words');
  expect(shape({ type: 'array', items: { $ref: '#/$defs/Query' } })).toBe('list');
  expect(shape({ prefixItems: [{ type: 'number' }, { type: 'number' }], type: 'array' })).toBe('tuple');
  expect(shape({ type: 'object', patternProperties: { x: { type: 'number' } } })).toBe('map');
  expect(shape({ type: 'object', additionalProperties: true })).toBe('json');
  const loose = [{ type: 'boolean' }, { type: 'integer' }, { type: 'string' }];
  expect(shape({ anyOf: [...loose, { type: 'null' }] })).toBe('json');
  expect(shape({ anyOf: [{ const: 'all' }, { type: 'array', items: { type: 'string' } }] })).toBe('variants');
});

test('variants are told apart by their constants, and named as the palette names them', () => {
  const shape = shapeOf(bareSchema(fieldsOf({ $ref: '#/$defs/training' }, DEFS)[2]!.schema), CATALOGUE);
  if (shape.is !== 'variants') throw new Error(shape.is);
  expect(shape.variants.map((one) => one.key)).toEqual(['mlp', 'linear']);
  expect(shape.variants[0]).toMatchObject({ label: { zh: '神经网络' }, first: { family: 'mlp' } });
  expect(variantOf({ family: 'linear', l2: 0.1 }, shape.variants, CATALOGUE)?.key).toBe('linear');
  expect(variantOf(undefined, shape.variants, CATALOGUE)).toBeUndefined();
  expect(emptyOf({ $ref: '#/$defs/Mlp' }, CATALOGUE)).toEqual({ family: 'mlp' });
});

test('a form that is no component is named by the words of the choice', () => {
  const median = { type: 'object', properties: { rule: { const: 'median' } } };
  const catalogue = { ...CATALOGUE, $defs: { ...DEFS, Median: median } };
  const named = { median: { en: 'coordinate median', zh: '逐坐标中位数' } };
  const holder = { anyOf: [{ oneOf: [{ $ref: '#/$defs/Median' }] }, { type: 'null' }], 'x-choices': named };
  const shape = shapeOf(bareSchema(holder), catalogue);
  if (shape.is !== 'variants') throw new Error(shape.is);
  expect(shape.variants[0]).toMatchObject({ key: 'median', label: { zh: '逐坐标中位数' } });
});

test('a form whose family is only usual is named as the palette names it, never by its class', () => {
  const family = { enum: ['mlp', 'rehearsal'], default: 'mlp' };
  const mlp = { type: 'object', properties: { family, l2: { type: 'number' } } };
  const catalogue = { ...CATALOGUE, $defs: { ...DEFS, Mlp: mlp } };
  const shape = shapeOf({ oneOf: [{ $ref: '#/$defs/Mlp' }, { $ref: '#/$defs/Linear' }] }, catalogue);
  if (shape.is !== 'variants') throw new Error(shape.is);
  expect(shape.variants[0]).toMatchObject({ key: 'Mlp', label: { zh: '神经网络' } });
});

test('a change leaves what was there as it was', () => {
  const before = { a: [{ b: 1 }, { b: 2 }] };
  expect(put(before, ['a', 0, 'b'], 3)).toEqual({ a: [{ b: 3 }, { b: 2 }] });
  expect(put(before, ['a', 0], undefined)).toEqual({ a: [{ b: 2 }] });
  expect(put({}, ['x', 0, 'y'], 1)).toEqual({ x: [{ y: 1 }] });
  expect(before).toEqual({ a: [{ b: 1 }, { b: 2 }] });
  expect(Object.keys(put({}, ['__proto__', 'x'], 1) as object)).toEqual(['__proto__']);
  expect(same({ a: 1, b: [1] }, { b: [1], a: 1 })).toBe(true);
  expect(same({ a: 1 }, { b: 1 })).toBe(false);
});

test('back and forward; typing in one field is one step', () => {
  const at = (name: string) => ({ request: { name }, places: {} });
  let now = begun({});
  for (const one of ['n', 'na', 'nam']) now = changed(now, at(one), 'name');
  now = changed(now, at('other'), 'kind');
  expect(undone(now).now.request).toEqual({ name: 'nam' });
  expect(undone(undone(now)).now.request).toEqual({});
  expect(redone(undone(now)).now.request).toEqual({ name: 'other' });
  expect(undone(begun({})).past).toEqual([]);
  expect(changed(now, at('other'))).toBe(now);
});

test('problems know their step and field', () => {
  const request = { kind: 'pipeline', steps: [{ id: 'train', kind: 'training' }, { id: 'count', kind: 'statistics' }] };
  const told = (field: string, message = '') => located(request, [{ field, message, hint: '', code: '' }])[0];
  expect(told('steps.train.model')).toMatchObject({ step: 'train', path: ['steps', 0, 'model'] });
  expect(told('steps.1.queries.0.name')).toMatchObject({ step: 'count', path: ['steps', 1, 'queries', 0, 'name'] });
  expect(told('plan.rounds', 'steps.train: too many')).toMatchObject({ step: 'train', path: ['steps', 0, 'plan', 'rounds'] });
  expect(told('datasets.1')).toMatchObject({ step: '', path: ['datasets', 1] });
  expect(told('steps')).toMatchObject({ step: '' });
  const plain = located({ kind: 'training' }, [{ field: 'model.l2', message: '', hint: '', code: '' }]);
  expect(plain[0]).toMatchObject({ step: 'training', path: ['model', 'l2'] });
});

test('fields are called as in the form', () => {
  const request = { kind: 'statistics', queries: [{}, {}] };
  expect(titlesOf(request, ['queries', 1, 'name'], CATALOGUE, 'en')).toEqual(['Questions', '2', 'Name']);
  const inner = { kind: 'pipeline', steps: [{ id: 'a', kind: 'training', model: { family: 'mlp' } }] };
  expect(titlesOf(inner, ['steps', 0, 'model', 'l2'], CATALOGUE, 'zh')).toEqual(['模型', 'l2']);
});

test('differences go by ids where items have them', () => {
  const before: Members = { steps: [{ id: 'a', x: 1 }, { id: 'b' }], list: [1, 2] };
  const after: Members = { steps: [{ id: 'b' }, { id: 'a', x: 2 }], list: [2], name: 'n' };
  expect(differences(before, after)).toEqual([
    { field: 'steps.a.x', before: 1, after: 2 },
    { field: 'list', before: [1, 2], after: [2] },
    { field: 'name', before: undefined, after: 'n' },
  ]);
  expect(differences(before, { ...before })).toEqual([]);
});

test('a stored draft that is none counts as nothing', () => {
  expect(parsed(null)).toBeNull();
  expect(parsed('{"request": []}')).toBeNull();
  expect(parsed('not json')).toBeNull();
  expect(parsed('{"request": {"kind": "psi"}, "places": {"psi": {"x": 1, "y": "?"}}, "kept": [{"at": 1}]}')).toEqual({
    request: { kind: 'psi' },
    places: {},
    base: null,
    from: '',
    kept: [],
  });
});

test('what is copied is read again, and nothing else', () => {
  expect(stepIn(asText({ kind: 'training' }))).toEqual({ kind: 'training' });
  expect(stepIn('{"kind": "training"}')).toBeNull();
  expect(stepIn('text')).toBeNull();
});

test('steps stand by their depth', () => {
  const steps = ['a', 'b', 'c'].map((id) => ({ id, kind: '', path: [], body: {} }));
  const edges = [{ from: 'a', to: 'c', output: '', input: '', path: [] }];
  const places = placed(steps, edges, { b: { x: 7, y: 7 } });
  expect(places['c']!.x).toBeGreaterThan(places['a']!.x);
  expect(places['c']!.y).toBeGreaterThan(places['a']!.y);
  expect(places['b']).toEqual({ x: 7, y: 7 });
});

test('a spec is asked for again: names of datasets and models, edges of a pipeline', () => {
  const known = { datasets: [{ id: 'dst_1', name: 'rows', organisation: 'bank-a' }], models: [{ id: 'mdl_1', job: 'job_1' }] };
  const head = { project: 'p', name: 'n', purpose: 'u', roster: [{ party: 'bank-a', dataset: 'rows', key: '' }], script: 'x/1', v: 1 };
  const asked = { project: 'p', name: 'n', purpose: 'u', datasets: ['dst_1'] };
  const training = { ...head, kind: 'training', model: { family: 'linear', l2: 0 }, rounds: 10, resume: null };
  expect(requestOf(training, CATALOGUE, known)).toEqual({ ...asked, kind: 'training', model: { family: 'linear' } });
  expect(requestOf({ ...head, kind: 'evaluation', models: [{ job: 'job_1' }, { job: 'job_2' }] }, CATALOGUE, known)).toEqual({
    ...asked,
    kind: 'evaluation',
    models: ['mdl_1', 'job_2'],
  });
  const pipeline = {
    ...head,
    kind: 'pipeline',
    attempts: 2,
    steps: [
      { id: 'train', job: training, takes: [] },
      { id: 'test', job: { ...head, kind: 'evaluation', models: [{ job: '?' }] }, takes: [{ input: 'models', step: 'train', output: 'model' }] },
    ],
  };
  expect(requestOf(pipeline, CATALOGUE, known)).toEqual({
    ...asked,
    kind: 'pipeline',
    attempts: 2,
    steps: [
      { id: 'train', kind: 'training', model: { family: 'linear' } },
      { id: 'test', kind: 'evaluation', models: [{ step: 'train', output: 'model' }] },
    ],
  });
});

test('each owner is asked for its own columns where the parties have sides', () => {
  const roster = [{ party: 'bank-a', dataset: 'rows' }, { party: 'bank-b', dataset: '' }];
  expect(asksOf({ roster, queries: [{ column: 'age', by: 'sex' }] })).toEqual([
    { party: 'bank-a', dataset: 'rows', columns: ['age', 'sex'] },
    { party: 'bank-b', dataset: '', columns: ['age', 'sex'] },
  ]);
  const sides = [{ party: 'bank-a', key: ['phone'], granted: ['age'] }, { party: 'bank-b', key: ['id'] }];
  expect(asksOf({ roster, sides })[1]).toEqual({ party: 'bank-b', dataset: '', columns: ['id'] });
});

test('rows that are held out by key name no column', () => {
  const roster = [{ party: 'bank-a', dataset: 'rows' }];
  const spec = { roster, columns: ['age'], held_out: { by: 'key', share: 0.2 }, plan: { split: { by: 'key' } } };
  expect(asksOf(spec)[0]?.columns).toEqual(['age']);
});

test('asked of an owner is its column, not how a step fills it in or what a recipe makes of it', () => {
  const recipe = {
    columns: [{ column: 'age' }, { column: 'job' }],
    steps: [
      { step: 'impute', columns: ['age'], by: 'mean' },
      { step: 'one_hot', columns: ['job'] },
    ],
  };
  const made = [{ column: 'age' }, { column: 'job=clerk' }, { column: 'job.missing' }];
  const features = { recipe, label: { column: 'late' }, numeric: made };
  const [one] = asksOf({ roster: [{ party: 'bank-a' }], ...recipe, train: { features } });
  expect(one?.columns).toEqual(['age', 'job', 'late']);
});
