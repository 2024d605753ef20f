/** Job files: the same request as YAML or JSON, as the command line takes it. */
import { COMMON, PIPELINE } from './draft';
import { isMembers, type Json, type Members } from './json';

const LARGEST = 1_000_000;
/** Values and levels of a request, as the centre reads them. */
const MOST_VALUES = 50_000;
const DEEPEST = 32;
/** Steps that are drawn: a pipeline has a quarter of them, and the check tells so. */
const MOST_DRAWN = 64;

/**
 * What a file says; the parser of YAML is loaded with the first file. What the centre would never
 * read is not drawn: a draft is kept, and a page that it stops would stop again.
 */
export async function read(text: string): Promise<Members> {
  if (text.length > LARGEST) throw new Error('large');
  const { load, CORE_SCHEMA } = await import('js-yaml');
  const value = load(text, { schema: CORE_SCHEMA }) as Json;
  if (!isMembers(value) || typeof value['kind'] !== 'string') throw new Error('no job');
  if (!(writtenOut(value, DEEPEST, new Map()) <= MOST_VALUES)) throw new Error('large');
  const { kind, steps } = value;
  if (kind === PIPELINE && Array.isArray(steps) && steps.length > MOST_DRAWN) throw new Error('large');
  return value;
}

/** How many values there are, those counted again that a file repeats (`*name`); no end if too deep. */
function writtenOut(value: Json, levels: number, known: Map<Json, number>): number {
  if (typeof value !== 'object' || value === null) return 1;
  if (levels === 0) return Infinity;
  const before = known.get(value);
  if (before !== undefined) return before;
  known.set(value, Infinity); // within itself
  const inner = Object.values(value).map((one) => writtenOut(one, levels - 1, known));
  const found = inner.reduce((sum, one) => sum + one, 1);
  known.set(value, found);
  return found;
}

/** A request as a file; what all kinds have stands first. */
export async function written(request: Members): Promise<string> {
  const { dump, CORE_SCHEMA } = await import('js-yaml');
  const first = ['kind', ...COMMON].flatMap((name) => (name in request ? [[name, request[name]]] : []));
  return dump({ ...Object.fromEntries(first), ...request }, { schema: CORE_SCHEMA, lineWidth: 100, noRefs: true, flowLevel: 4 });
}

/** Lays a text down as a file of the browser's user. */
export function saveAs(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
