/** JSON values, and changes of them that leave what was there as it was. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Members = { [name: string]: Json };
export type Path = readonly (string | number)[];

/** Whether a value is an object. */
export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What stands at a path; undefined if nothing does. */
export function at(value: Json | undefined, path: Path): Json | undefined {
  let found: Json | undefined = value;
  for (const name of path) {
    if (Array.isArray(found)) found = found[Number(name)];
    else if (isMembers(found) && Object.hasOwn(found, name)) found = found[name];
    else return undefined;
  }
  return found;
}

/** A copy with another value at a path; `undefined` takes the member or the item away. */
export function put(value: Json | undefined, path: Path, to: Json | undefined): Json {
  const [name, ...rest] = path;
  if (name === undefined) return to ?? null;
  if (Array.isArray(value) || (value === undefined && typeof name === 'number')) {
    const items = Array.isArray(value) ? [...value] : [];
    if (to === undefined && !rest.length) items.splice(Number(name), 1);
    else items[Number(name)] = put(items[Number(name)], rest, to);
    return items;
  }
  const members: Members = isMembers(value) ? { ...value } : {};
  const key = String(name);
  if (to === undefined && !rest.length) {
    delete members[key];
    return members;
  }
  // A file may call a member whatever it likes, `__proto__` too.
  const inner = put(Object.hasOwn(members, key) ? members[key] : undefined, rest, to);
  const own = { value: inner, enumerable: true, writable: true, configurable: true };
  return Object.defineProperty(members, key, own);
}

/** Whether two values are the same, whatever the order of members. */
export function same(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((one, index) => same(one, b[index]));
  }
  if (!isMembers(a) || !isMembers(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && same(a[name], b[name]))
  );
}

/** A path as problems write it: `steps.0.model.hidden`. */
export function dotted(path: Path): string {
  return path.join('.');
}
