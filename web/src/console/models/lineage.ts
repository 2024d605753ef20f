/** The graph around a model as two trees: what came before it, and what was made of it. */
import type { Schemas } from '../../api/client';

type Lineage = Schemas['Lineage'];
export type Place = Schemas['Node'];
export type Relation = Schemas['Edge']['relation'];
/** A place of a tree, how it hangs together with the one above, and what hangs below. */
export type Branch = { node: Place; relation: Relation; branches: Branch[] };
export type Direction = 'before' | 'after';

/**
 * The tree in one direction. What is reached in several ways stands where it is met first, so that
 * a graph of any shape, even one with a circle, has a finite tree.
 */
export function treeOf(lineage: Lineage, direction: Direction): Branch[] {
  const nodes = new Map(lineage.nodes.map((one) => [one.id, one]));
  const met = new Set([lineage.model]);
  const [from, to] = direction === 'before' ? (['target', 'source'] as const) : (['source', 'target'] as const);
  const grow = (id: string): Branch[] => {
    const next = lineage.edges.filter((one) => one[from] === id && !met.has(one[to]));
    for (const one of next) met.add(one[to]);
    return next.flatMap((one) => {
      const node = nodes.get(one[to]);
      return node ? [{ node, relation: one.relation, branches: grow(node.id) }] : [];
    });
  };
  return grow(lineage.model);
}

/** The address of a place's page; none for uploads. */
export function addressOf({ kind, id }: Place): string {
  const folder = { model: 'models', job: 'jobs', upload: '' }[kind];
  return folder ? `/${folder}/${encodeURIComponent(id)}` : '';
}
