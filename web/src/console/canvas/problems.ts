/** Problems of a draft, each with the step and the field that it leads to. */
import { PIPELINE, stepsOf, COMMON } from './draft';
import type { Members, Path } from './json';

export type Told = { field: string; message: string; hint: string; code: string };
export type Problem = Told & {
  /** The step; empty for what is of the whole job. */
  step: string;
  /** The field's path in the request; empty where none is named. */
  path: Path;
};
const OF_ALL = new Set<string>([...COMMON, 'attempts', 'epsilon', 'parties']);

/** Each problem with where it is. */
export function located(request: Members, told: readonly Told[]): Problem[] {
  return told.map((one) => ({ ...one, ...placeOf(request, one) }));
}

function placeOf(request: Members, told: Told): { step: string; path: Path } {
  const parts = told.field.split('.').filter(Boolean).map(part);
  const steps = stepsOf(request);
  const [first] = parts;
  if (request['kind'] !== PIPELINE) {
    const [only] = steps;
    const common = first === undefined || OF_ALL.has(String(first));
    return { step: common ? '' : (only?.id ?? ''), path: parts };
  }
  const said = /^steps\.([a-z0-9-]+)/.exec(told.message)?.[1];
  const name = first === 'steps' ? String(parts[1] ?? '') : said;
  const inner = first === 'steps' ? parts.slice(2) : parts;
  const step =
    steps.find((one) => one.id === name) ??
    steps.find((one) => name !== undefined && String(one.path[1]) === name);
  if (!step) return { step: '', path: parts };
  if (OF_ALL.has(String(inner[0]))) return { step: '', path: inner };
  return { step: step.id, path: [...step.path, ...inner] };
}

function part(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}
