/** Job files: the same request as YAML or JSON, as the command line takes it. */
import type { Say } from '../../shared/i18n';
import { fit, LARGEST, MOST_DRAWN, Unfit } from './bounds';
import { COMMON } from './draft';
import type { Json, Members } from './json';

/** What a file says, or why it is none (`Unfit`); the parser of YAML is loaded with the first one. */
export async function read(text: string): Promise<Members> {
  if (text.length > LARGEST) throw new Unfit('large', { most: LARGEST });
  const { load, CORE_SCHEMA } = await import('js-yaml');
  let value: Json;
  try {
    value = load(text, { schema: CORE_SCHEMA }) as Json;
  } catch (error) {
    const { mark } = error as { mark?: { line?: number } };
    throw new Unfit('text', { line: (mark?.line ?? 0) + 1 });
  }
  return fit(value);
}

/** What a file of the browser's user says; a larger one is refused before it is read. */
export async function opened(file: File): Promise<Members> {
  if (file.size > 4 * LARGEST) throw new Unfit('large', { most: LARGEST });
  return read(await file.text());
}

/** Why a file could not be taken, in words. */
export function reason(error: unknown, t: Say): string {
  const { why, facts } = error instanceof Unfit ? error : new Unfit('text', { line: 1 });
  return t(`canvas:file.${why}`, { ...facts, drawn: MOST_DRAWN });
}

/** A request as a file; what all kinds have stands first. */
export async function written(request: Members): Promise<string> {
  const { dump, CORE_SCHEMA } = await import('js-yaml');
  const first = ['kind', ...COMMON].flatMap((name) => (name in request ? [[name, request[name]]] : []));
  return dump({ ...Object.fromEntries(first), ...request }, { schema: CORE_SCHEMA, lineWidth: 100, noRefs: true, flowLevel: 4 });
}

/** Lays a request, or what is a file already, down as a file of the browser's user. */
export function saveAs(name: string, file: string | Blob): void {
  const blob = typeof file === 'string' ? new Blob([file], { type: 'application/yaml' }) : file;
  const address = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
