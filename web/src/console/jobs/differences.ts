/** Where specs differ: each field by its path, with what each spec says there. */
type Flat = Map<string, string>;

const NOT_COMPARED = new Set(['name', 'v', 'script']);
const MOST = 200;

function flatten(value: unknown, path: string, into: Flat): void {
  if (Array.isArray(value) || typeof value !== 'object' || value === null) {
    into.set(path, JSON.stringify(value) ?? '');
    return;
  }
  for (const [name, one] of Object.entries(value)) {
    flatten(one, path ? `${path}.${name}` : name, into);
  }
}

/** The fields that not all specs say alike, in the order in which they are met; at most 200. */
export function differences(specs: readonly unknown[]): { field: string; values: string[] }[] {
  const flat = specs.map((spec) => {
    const found: Flat = new Map();
    flatten(spec, '', found);
    return found;
  });
  const fields = [...new Set(flat.flatMap((one) => [...one.keys()]))];
  return fields
    .filter((field) => !NOT_COMPARED.has(field))
    .map((field) => ({ field, values: flat.map((one) => one.get(field) ?? '') }))
    .filter(({ values }) => new Set(values).size > 1)
    .slice(0, MOST);
}
