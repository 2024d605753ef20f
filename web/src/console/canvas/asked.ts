/** What each owner will be asked: read from the spec that it would sign. */
import { isMembers, type Json } from './json';

export type Ask = { party: string; dataset: string; columns: string[] };
const NAMES = new Set(['column', 'columns', 'by', 'key', 'keys', 'granted']);
/** Members that name no columns: who takes part, and which rows are held out, "by key" of any name. */
const OTHERWISE = new Set(['roster', 'split', 'held_out']);

function* columnsIn(value: Json | undefined, named: boolean): Generator<string> {
  if (typeof value === 'string') {
    if (named && value) yield value;
  } else if (Array.isArray(value)) {
    for (const one of value) yield* columnsIn(one, named);
  } else if (isMembers(value) && typeof value['step'] !== 'string') {
    // A step of a preparation names columns of the recipe, which stand there, and what it makes of
    // them; features that a recipe makes are no columns of an owner.
    const made = isMembers(value['recipe']);
    for (const [name, one] of Object.entries(value)) {
      if (OTHERWISE.has(name) || (made && name !== 'recipe' && name !== 'label')) continue;
      yield* columnsIn(one, NAMES.has(name));
    }
  }
}

/** Each owner with its dataset and the columns; a kind with sides names them for each party. */
export function asksOf(spec: { [name: string]: unknown }): Ask[] {
  const roster = Array.isArray(spec['roster']) ? (spec['roster'] as Json[]) : [];
  const { sides } = spec as { sides?: Json };
  const all = [...new Set(columnsIn(spec as { [name: string]: Json }, false))];
  return roster.flatMap((one): Ask[] => {
    const party = isMembers(one) ? one['party'] : '';
    const dataset = isMembers(one) ? one['dataset'] : '';
    if (typeof party !== 'string' || !party) return [];
    const side = (Array.isArray(sides) ? sides : []).find((each) => isMembers(each) && each['party'] === party);
    const { party: _, ...rest } = isMembers(side) ? side : { party };
    const own = isMembers(side) ? [...new Set(columnsIn(rest, false))] : all;
    return [{ party, dataset: typeof dataset === 'string' ? dataset : '', columns: own }];
  });
}
