/** Job files: the same request as YAML or JSON, as the command line takes it. */
import { COMMON } from './draft';
import { isMembers, type Json, type Members } from './json';

const LARGEST = 1_000_000;

/** What a file says; the parser of YAML is loaded with the first file. */
export async function read(text: string): Promise<Members> {
  if (text.length > LARGEST) throw new Error('large');
  const { load, CORE_SCHEMA } = await import('js-yaml');
  const value = load(text, { schema: CORE_SCHEMA }) as Json;
  if (!isMembers(value) || typeof value['kind'] !== 'string') throw new Error('no job');
  return value;
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
