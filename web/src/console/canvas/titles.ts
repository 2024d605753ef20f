/** What a field is called, by its path in a request: the titles of the form on the way to it. */
import { inWords, kindOf, type Catalogue, type Schema } from './catalogue';
import { PIPELINE } from './draft';
import { at, isMembers, type Members, type Path } from './json';
import { fieldsOf, resolved, shapeOf, bareSchema } from './schema';
import { variantOf } from './variants';

/** Titles of the places on a path, the innermost last; numbers count from 1. */
export function titlesOf(
  request: Members,
  path: Path,
  catalogue: Catalogue,
  language: 'en' | 'zh',
): string[] {
  const inStep = request['kind'] === PIPELINE && path[0] === 'steps' && path.length > 2;
  const start = inStep ? path.slice(0, 2) : [];
  const holder = at(request, start);
  const kind = isMembers(holder) && typeof holder['kind'] === 'string' ? holder['kind'] : '';
  let schema: Schema | undefined = kindOf(catalogue, kind)?.parameters;
  const said: string[] = [];
  for (let end = start.length; end < path.length; end += 1) {
    const name = path[end];
    if (name === undefined) break;
    const next: { schema?: Schema; title: string } = inner(schema, name, at(request, path.slice(0, end)), catalogue, language);
    said.push(next.title);
    schema = next.schema;
  }
  return said;
}

function inner(
  given: Schema | undefined,
  name: string | number,
  value: ReturnType<typeof at>,
  catalogue: Catalogue,
  language: 'en' | 'zh',
): { schema?: Schema; title: string } {
  const plain = { title: typeof name === 'number' ? String(name + 1) : name };
  if (!given) return plain;
  const shape = shapeOf(given, catalogue);
  if (shape.is === 'variants') {
    const variant = variantOf(value, shape.variants, catalogue);
    return variant ? inner(variant.schema, name, value, catalogue, language) : plain;
  }
  if (shape.is === 'list') return { ...plain, schema: shape.item };
  if (shape.is === 'map') return { ...plain, schema: shape.value };
  if (shape.is !== 'object') return plain;
  const field = fieldsOf(bareSchema(resolved(given, catalogue.$defs)), catalogue.$defs).find((one) => one.name === name);
  if (!field) return plain;
  return { schema: field.schema, title: inWords(field.title ?? undefined, language) || field.name };
}
