/** How many, or which, rows two owners share: from what a form holds to the request of a job. */
import type { Schemas } from '../../api/client';
import type { Dataset } from '../data/columns';

export const RULES = ['phone', 'email', 'id_card', 'trim', 'case', 'none'] as const;
export type Rule = (typeof RULES)[number];
export type OverlapValues = {
  project?: string;
  name?: string;
  purpose?: string;
  first?: string;
  second?: string;
  rule?: Rule;
  firstKey?: string;
  secondKey?: string;
  /** Whether only the number is told, or which rows. */
  tells?: 'size' | 'rows';
  /** An organisation, or `all`. */
  learns?: string;
  /** Whether the report says how many, so that everybody in the project reads it. */
  shown?: boolean;
  minimum?: number | null;
};
export type OverlapBody = Schemas['PsiRequest'];

/** The columns that can be a key: a number would lose leading zeros, and the digits of long ids. */
export function keyColumns(dataset: Dataset | undefined): string[] {
  return (dataset?.columns ?? [])
    .filter(({ type }) => type === 'text' || type === 'category')
    .map(({ name }) => name);
}

/** The column that its owner declared as the key of a dataset, if it can be read here. */
export function declaredKey(dataset: Dataset | undefined): string | undefined {
  return keyColumns(dataset).find((name) => name === dataset?.key);
}

/** The fields, by their labels in the catalogue, without which nothing can be said. */
export function overlapMissing(values: OverlapValues, datasets: readonly Dataset[]): string[] {
  const { project, name, purpose, rule, firstKey, secondKey, learns, tells } = values;
  const there = (id?: string) => datasets.some((one) => one.id === id);
  const fields: [string, unknown][] = [
    ['project', project],
    ['name', name?.trim()],
    ['purpose', purpose?.trim()],
    ['first', there(values.first)],
    ['second', there(values.second)],
    ['key.first', firstKey],
    ['key.second', secondKey],
    ['rule', rule],
    ['who', learns && (tells === 'rows' || learns !== 'all')],
  ];
  return fields.flatMap(([field, value]) => (value ? [] : [field]));
}

/** The request; null while something that nothing can be said without is missing. */
export function overlapRequest(
  values: OverlapValues,
  datasets: readonly Dataset[],
): OverlapBody | null {
  const { project, name, purpose, rule, firstKey, secondKey, learns } = values;
  const first = datasets.find((one) => one.id === values.first);
  const second = datasets.find((one) => one.id === values.second);
  if (overlapMissing(values, datasets).length) return null;
  if (!project || !name || !purpose || !first || !second) return null;
  if (!rule || !firstKey || !secondKey || !learns) return null;
  const size = values.tells !== 'rows';
  return {
    kind: 'psi',
    priority: 5,
    project,
    name: name.trim(),
    purpose: purpose.trim(),
    datasets: [first.id, second.id],
    key: [rule],
    columns: {
      [first.organisation]: { key: [firstKey], granted: [] },
      [second.organisation]: { key: [secondKey], granted: [] },
    },
    ...(size ? { learns: 'size', receiver: learns } : { learns, join: 'inner' }),
    ...(values.shown ? { tells_size: true } : {}),
    ...(values.minimum ? { minimum: values.minimum } : {}),
  };
}
