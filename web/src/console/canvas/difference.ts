/** Where two requests differ: each place by its path, with what stands on either side. */
import { dotted, isMembers, same, type Json, type Path } from './json';

export type Difference = { field: string; before: Json | undefined; after: Json | undefined };

/** All differences, in the order of the second; of lists by their items, of steps by their ids. */
export function differences(
  before: Json | undefined,
  after: Json | undefined,
  path: Path = [],
): Difference[] {
  if (same(before, after)) return [];
  if (isMembers(before) && isMembers(after)) {
    const names = [...new Set([...Object.keys(after), ...Object.keys(before)])];
    return names.flatMap((name) =>
      differences(own(before, name), own(after, name), [...path, name]),
    );
  }
  if (Array.isArray(before) && Array.isArray(after)) return ofLists(before, after, path);
  return [{ field: dotted(path), before, after }];
}

function own(value: { [name: string]: Json }, name: string): Json | undefined {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

function ofLists(before: Json[], after: Json[], path: Path): Difference[] {
  const left = named(before);
  const right = named(after);
  if (left && right) {
    const ids = [...new Set([...right.keys(), ...left.keys()])];
    return ids.flatMap((id) => differences(left.get(id), right.get(id), [...path, id]));
  }
  const plain = [...before, ...after].every((one) => !isMembers(one) && !Array.isArray(one));
  if (plain) return [{ field: dotted(path), before, after }];
  const count = Math.max(before.length, after.length);
  return Array.from({ length: count }, (_, index) =>
    differences(before[index], after[index], [...path, index]),
  ).flat();
}

/** Items by their ids or names; null where they have none of their own. */
function named(items: Json[]): Map<string, Json> | null {
  const found = new Map<string, Json>();
  for (const one of items) {
    const id = isMembers(one) ? (one['id'] ?? one['name'] ?? one['column']) : undefined;
    if (typeof id !== 'string' || found.has(id)) return null;
    found.set(id, one);
  }
  return found;
}
