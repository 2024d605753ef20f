/** What a field of a form is, read from the JSON schema of a component's parameters. */
import type { Catalogue, Schema, Words } from './catalogue';
import { isMembers, type Json, type Members } from './json';

/** One of several forms that a value may have. */
export type Variant = {
  /** Tells it from the others; also what a test chooses it by. */
  key: string;
  label: Words | null;
  schema: Schema;
  /** What it begins as. */
  first: Json;
};
export type Shape =
  | { is: 'object'; fields: Field[] }
  | { is: 'variants'; variants: Variant[] }
  | { is: 'choice'; options: { value: Json; words: Words | null }[] }
  | { is: 'choices'; options: { value: Json; words: Words | null }[] }
  | { is: 'number'; whole: boolean; least?: number; most?: number }
  | { is: 'text'; longest?: number }
  | { is: 'flag' }
  | { is: 'list'; item: Schema; most?: number }
  | { is: 'words'; whole: 'text' | 'number' }
  | { is: 'tuple'; items: Schema[] }
  | { is: 'map'; value: Schema }
  | { is: 'json' };
export type Field = {
  name: string;
  schema: Schema;
  title: Words | null;
  description: Words | null;
  unit: Words | null;
  picks: string;
  expert: boolean;
  common: boolean;
  required: boolean;
  /** Whether null may stand there. */
  nullable: boolean;
  usual: Json | undefined;
};

type Defs = Catalogue['$defs'];

const list = (value: unknown): Schema[] => (Array.isArray(value) ? (value as Schema[]) : []);

function words(value: unknown): Words | null {
  return isMembers(value) && typeof value['en'] === 'string' ? (value as Words) : null;
}

/** The schema that a reference leads to, with what stands beside the reference. */
export function resolved(schema: Schema, defs: Defs): Schema {
  const ref = schema['$ref'];
  if (typeof ref !== 'string') return schema;
  const { $ref: _, ...beside } = schema;
  return { ...defs[ref.replace('#/$defs/', '')], ...beside };
}

/** A schema without the null that it also allows. */
function bare(schema: Schema): { schema: Schema; nullable: boolean } {
  const any = list(schema['anyOf']);
  const rest = any.filter((one) => one['type'] !== 'null');
  if (rest.length === any.length) return { schema, nullable: false };
  const { anyOf: _, ...beside } = schema;
  const [only] = rest;
  return rest.length === 1 && only
    ? { schema: { ...only, ...beside }, nullable: true }
    : { schema: { ...beside, anyOf: rest }, nullable: true };
}

/** A field's schema without the null that it also allows. */
export function bareSchema(schema: Schema): Schema {
  return bare(schema).schema;
}

/** A field of what stands in a list or a map: it has no words of its own. */
export function fieldOf(name: string, schema: Schema, holder?: Field): Field {
  return {
    name,
    schema,
    title: null,
    description: null,
    unit: null,
    picks: holder?.picks ?? '',
    expert: false,
    common: false,
    required: true,
    nullable: bare(schema).nullable,
    usual: undefined,
  };
}

/** The fields of an object's schema; what is constant is nothing to fill in. */
export function fieldsOf(schema: Schema, defs: Defs): Field[] {
  const found = resolved(schema, defs);
  const required = new Set((found['required'] as string[] | undefined) ?? []);
  const properties = (found['properties'] ?? {}) as Record<string, Schema>;
  return Object.entries(properties).flatMap(([name, one]): Field[] => {
    if ('const' in one) return [];
    const said = (one['x-words'] ?? {}) as Record<string, unknown>;
    return [
      {
        name,
        schema: one,
        title: words(said['title']),
        description: words(said['description']),
        unit: words(said['unit']),
        picks: typeof one['x-picks'] === 'string' ? one['x-picks'] : '',
        expert: one['x-expert'] === true,
        common: one['x-common'] === true,
        required: required.has(name),
        nullable: bare(one).nullable,
        usual: one['default'] as Json | undefined,
      },
    ];
  });
}

/** The constant members of an object's schema that it must have. */
export function constants(schema: Schema, defs: Defs): Members {
  const required = new Set((resolved(schema, defs)['required'] as string[] | undefined) ?? []);
  return Object.fromEntries(fixed(schema, defs).filter(([name]) => required.has(name)));
}

function fixed(schema: Schema, defs: Defs): [string, Json][] {
  const properties = (resolved(schema, defs)['properties'] ?? {}) as Record<string, Schema>;
  return Object.entries(properties).flatMap(([name, one]): [string, Json][] =>
    'const' in one ? [[name, one['const'] as Json]] : [],
  );
}

/** The constant that tells one of several forms from the others. */
function tagOf(schema: Schema, defs: Defs): Members {
  const tag = fixed(schema, defs).find(([, value]) => typeof value === 'string');
  return tag ? { [tag[0]]: tag[1] } : {};
}

function options(schema: Schema, named: unknown): { value: Json; words: Words | null }[] {
  const known = isMembers(named) ? named : {};
  const values = 'const' in schema ? [schema['const']] : ((schema['enum'] as unknown[]) ?? []);
  return values.map((value) => ({ value: value as Json, words: words(known[String(value)]) }));
}

function numeric(schema: Schema): Shape {
  const least = schema['minimum'] ?? schema['exclusiveMinimum'];
  const most = schema['maximum'] ?? schema['exclusiveMaximum'];
  return {
    is: 'number',
    whole: schema['type'] === 'integer',
    ...(typeof least === 'number' ? { least } : {}),
    ...(typeof most === 'number' ? { most } : {}),
  };
}

/** What a schema's values look like in a form. */
export function shapeOf(given: Schema, catalogue: Catalogue): Shape {
  const { schema } = bare(resolved(given, catalogue.$defs));
  const found = resolved(schema, catalogue.$defs);
  const several = [...list(found['oneOf']), ...list(found['anyOf'])];
  if (several.length > 2 && several.every(loose)) return { is: 'json' };
  if (several.length) return { is: 'variants', variants: several.flatMap((one) => variants(one, found, catalogue)) };
  if ('enum' in found || 'const' in found) {
    return { is: 'choice', options: options(found, found['x-choices']) };
  }
  switch (found['type']) {
    case 'object':
      return ofObject(found, catalogue);
    case 'array':
      return ofArray(found, catalogue);
    case 'number':
    case 'integer':
      return numeric(found);
    case 'boolean':
      return { is: 'flag' };
    case 'string': {
      const longest = found['maxLength'];
      return { is: 'text', ...(typeof longest === 'number' ? { longest } : {}) };
    }
    default:
      return { is: 'json' };
  }
}

/** Whether a form is no more than a type: of three of these nobody chooses one, a value is written. */
function loose(schema: Schema): boolean {
  return typeof schema['type'] === 'string' && schema['type'] !== 'object' && !('enum' in schema);
}

function ofObject(schema: Schema, catalogue: Catalogue): Shape {
  if ('properties' in schema) return { is: 'object', fields: fieldsOf(schema, catalogue.$defs) };
  const patterns = Object.values((schema['patternProperties'] ?? {}) as Record<string, Schema>);
  const [value] = patterns;
  return patterns.length === 1 && value ? { is: 'map', value } : { is: 'json' };
}

function ofArray(schema: Schema, catalogue: Catalogue): Shape {
  const tuple = list(schema['prefixItems']);
  if (tuple.length) return { is: 'tuple', items: tuple };
  const item = (schema['items'] ?? {}) as Schema;
  if ('enum' in item) return { is: 'choices', options: options(item, schema['x-choices']) };
  const inner = shapeOf(item, catalogue).is;
  if (inner === 'text' || inner === 'number') return { is: 'words', whole: inner };
  if (inner === 'json') return { is: 'json' };
  const most = schema['maxItems'];
  return { is: 'list', item, ...(typeof most === 'number' ? { most } : {}) };
}

function variants(one: Schema, holder: Schema, catalogue: Catalogue): Variant[] {
  const schema = resolved(one, catalogue.$defs);
  const inner = [...list(schema['oneOf']), ...list(schema['anyOf'])];
  if (inner.length) return inner.flatMap((each) => variants(each, holder, catalogue));
  const beside = { 'x-choices': holder['x-choices'], 'x-picks': holder['x-picks'] };
  if ('const' in schema || 'enum' in schema) {
    return options(schema, holder['x-choices']).map(({ value, words: label }) => ({
      key: String(value),
      label,
      schema: { const: value, ...beside },
      first: value,
    }));
  }
  if (schema['type'] !== 'object') {
    const key = String(schema['type']);
    return [{ key, label: null, schema: { ...schema, ...beside }, first: emptyOf(schema, catalogue) }];
  }
  const tag = tagOf(schema, catalogue.$defs);
  const [said] = Object.values(tag);
  const key = typeof said === 'string' ? said : String(one['$ref'] ?? 'object').replace('#/$defs/', '');
  const first = { ...tag, ...constants(schema, catalogue.$defs) };
  const named = isMembers(holder['x-choices']) ? holder['x-choices'] : {};
  return [{ key, label: labelOf(one, schema, tag, catalogue) ?? words(named[key]), schema: one, first }];
}

/** The words of a component whose parameters these are, else the titles of what it must have. */
function labelOf(one: Schema, schema: Schema, tag: Members, catalogue: Catalogue): Words | null {
  const known = (schema['properties'] ?? {}) as Record<string, Schema>;
  const component = catalogue.components.find(
    ({ parameters, preset, place }) =>
      place !== null &&
      parameters.$ref === one['$ref'] &&
      Object.entries(preset).every(([name, value]) => (tag[name] ?? known[name]?.['default']) === value),
  );
  if (component) return component.label;
  const needed = fieldsOf(schema, catalogue.$defs).filter((field) => field.required && field.title);
  if (!needed.length) return null;
  const said = (language: 'en' | 'zh', mark: string) =>
    needed.map((field) => field.title?.[language] ?? '').join(mark);
  return { en: said('en', ', '), zh: said('zh', '、') };
}

/** What a value begins as: of an object its constants, else nothing yet. */
export function emptyOf(schema: Schema, catalogue: Catalogue): Json {
  const shape = shapeOf(schema, catalogue);
  switch (shape.is) {
    case 'object':
      return constants(bare(resolved(schema, catalogue.$defs)).schema, catalogue.$defs);
    case 'variants':
      return shape.variants[0]?.first ?? null;
    case 'choice':
      return shape.options[0]?.value ?? null;
    case 'number':
      return Math.max(0, shape.least ?? 0);
    case 'text':
      return '';
    case 'flag':
      return false;
    case 'map':
    case 'json':
      return {};
    case 'tuple':
      return shape.items.map((one) => emptyOf(one, catalogue));
    default:
      return [];
  }
}
