/** A small catalogue for tests, in the shape of the centre's. */
import type { Catalogue, Component, Port, Schema, Words } from './catalogue';

export function both(en: string, zh = en): Words {
  return { en, zh };
}

function port(name: string, type: string, rest: Partial<Port> = {}): Port {
  const said = { label: both(name), sentence: both('') };
  return { name, type, ...said, required: false, many: false, field: '', goes_on: false, ...rest };
}

const WHEN = port('when', 'metrics', { field: 'when' });
const ROWS = port('rows', 'rows', { required: true, many: true, field: 'datasets' });

function component(id: string, rest: Partial<Component>): Component {
  const [kind = id] = id.split('.');
  return {
    id,
    level: 'kind',
    kind,
    group: 'learn',
    label: both(id),
    sentence: both(''),
    place: null,
    preset: { kind },
    parameters: { $ref: `#/$defs/${id}` },
    step: true,
    inputs: [ROWS],
    outputs: [],
    protections: [],
    smallest_roster: 2,
    engine: '',
    learns: [],
    ...rest,
  };
}

function object(properties: Record<string, Schema>, required: string[] = []): Schema {
  return { type: 'object', properties, required, additionalProperties: false };
}

const NUMBER = { type: 'number', minimum: 0, maximum: 1 };
const NAME = { type: 'string', format: 'line' };
const COMMON = {
  project: { ...NAME, 'x-common': true, 'x-picks': 'project' },
  name: { ...NAME, 'x-common': true, 'x-words': { title: both('Name', '名称') } },
};

export const CATALOGUE: Catalogue = {
  groups: [],
  port_types: [
    { id: 'rows', label: both('rows'), sentence: both(''), stays: true },
    { id: 'recipe', label: both('recipe'), sentence: both(''), stays: false },
    { id: 'model', label: both('model'), sentence: both(''), stays: false },
  ],
  protections: [],
  components: [
    component('preparation', { outputs: [port('recipe', 'recipe', { goes_on: true })] }),
    component('training', {
      label: both('Training', '训练'),
      inputs: [
        ROWS,
        port('recipe', 'recipe', { field: 'features.recipe' }),
        port('start', 'model', { field: 'resume' }),
      ],
      outputs: [port('model', 'model', { goes_on: true }), port('metrics', 'metrics')],
    }),
    component('training.mlp', {
      level: 'family',
      place: { path: 'model', many: false },
      preset: { family: 'mlp' },
      parameters: { $ref: '#/$defs/Mlp' },
      label: both('Neural network', '神经网络'),
    }),
    component('evaluation', {
      inputs: [ROWS, port('models', 'model', { field: 'models', many: true, required: true }), WHEN],
      outputs: [port('metrics', 'metrics', { goes_on: true })],
    }),
    component('statistics', { inputs: [ROWS, WHEN] }),
    component('statistics.mean', {
      level: 'query',
      place: { path: 'queries', many: true },
      preset: { measure: 'mean' },
      parameters: { $ref: '#/$defs/Query' },
    }),
    component('sweep', { step: false }),
    component('pipeline', { step: false }),
  ],
  conditions: ['auc', 'loss'],
  $defs: {
    training: object({
      ...COMMON,
      model: {
        anyOf: [{ oneOf: [{ $ref: '#/$defs/Mlp' }, { $ref: '#/$defs/Linear' }] }, { type: 'null' }],
        default: null,
        'x-words': { title: both('Model', '模型') },
      },
      rounds: { type: 'integer', minimum: 1, maximum: 100, default: 10, 'x-expert': true },
      kind: { const: 'training' },
    }),
    preparation: object({ ...COMMON, columns: { type: 'array', items: NAME }, kind: { const: 'preparation' } }),
    evaluation: object({ ...COMMON, models: { type: 'array', items: NAME }, kind: { const: 'evaluation' } }),
    statistics: object({
      ...COMMON,
      queries: {
        type: 'array',
        items: { $ref: '#/$defs/Query' },
        'x-words': { title: both('Questions', '问题') },
      },
      kind: { const: 'statistics' },
    }),
    pipeline: object({ ...COMMON, steps: { type: 'array', items: { type: 'object' } } }),
    Mlp: object({ family: { const: 'mlp' }, hidden: { type: 'array', items: { type: 'integer' } }, l2: NUMBER }, ['family']),
    Linear: object({ family: { const: 'linear' }, l2: { ...NUMBER, default: 0 } }, ['family']),
    Query: object({
      name: { ...NAME, 'x-words': { title: both('Name', '名称') } },
      measure: {
        enum: ['mean', 'count'],
        type: 'string',
        'x-choices': { mean: both('mean', '均值'), count: both('count', '计数') },
      },
      column: { anyOf: [NAME, { type: 'null' }], default: null, 'x-picks': 'column' },
    }),
  },
};
