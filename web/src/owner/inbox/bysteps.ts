/** Who sees what of a pipeline's request, a group for each step, in their order. */

type Sight = { steps?: readonly string[] };
export type Grouped<T> = T & { key: string; group: string; span: number };

/**
 * The rows under their steps: those of one step, then those that several have in common. Of each
 * group the first row spans it. A row of all steps names them in the order in which they run.
 */
export function bySteps<T extends Sight>(rows: readonly T[]): Grouped<T>[] {
  const groups = new Map<string, T[]>();
  const order = rows.map((row) => row.steps ?? []);
  const named = new Set(order.flat());
  const names = order.find((steps) => steps.length === named.size) ?? [...named];
  for (const steps of [...names.map((name) => [name]), ...order]) groups.set(steps.join(', '), []);
  for (const row of rows) groups.get((row.steps ?? []).join(', '))?.push(row);
  return [...groups].flatMap(([group, found]) =>
    found.map((row, place) => ({
      ...row,
      key: `${group}/${place}`,
      group,
      span: place ? 0 : found.length,
    })),
  );
}
