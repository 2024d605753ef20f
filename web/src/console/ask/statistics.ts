/** A question in numbers: from what a form holds to the request of a job. */
import type { Schemas } from '../../api/client';
import type { Column, Dataset } from '../data/columns';

export const MEASURES = ['count', 'mean', 'sum', 'variance', 'quantile', 'histogram'] as const;
export type Measure = (typeof MEASURES)[number];
export type StatisticsValues = {
  project?: string;
  name?: string;
  purpose?: string;
  datasets?: string[];
  measure?: Measure;
  columns?: string[];
  by?: string;
  quantiles?: number[];
  bins?: number | null;
  /** What is chosen: the cost, from which the noise follows, or the noise itself. */
  limit?: 'epsilon' | 'noise';
  epsilon?: number | null;
  noise?: number | null;
  delta?: number | null;
};
export type StatisticsBody = Schemas['StatisticsRequest'];

const TYPES: Record<Measure, readonly Column['type'][]> = {
  count: ['number', 'category', 'text', 'image', 'array'],
  mean: ['number'],
  sum: ['number'],
  variance: ['number'],
  quantile: ['number'],
  histogram: ['number', 'category'],
};
const LONGEST = 63;

/** Columns that all datasets have, under one name and of one type. */
export function sharedColumns(datasets: readonly Dataset[]): Column[] {
  const [first, ...rest] = datasets;
  const alike = (one: Column, other: Column) => one.name === other.name && one.type === other.type;
  return (first?.columns ?? []).filter((one) =>
    rest.every((dataset) => dataset.columns.some((other) => alike(one, other))),
  );
}

/** The names of the columns that can be measured so. */
export function measurable(columns: readonly Column[], measure: Measure): string[] {
  return columns.filter((one) => TYPES[measure].includes(one.type)).map((one) => one.name);
}

/** The name of an answer: lower-case letters, digits and hyphens, none of which is taken. */
export function answerName(parts: readonly string[], taken: readonly string[]): string {
  const plain = parts.join('-').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
  const base = plain.slice(0, LONGEST - 4) || 'answer';
  let [name, count] = [base, 1];
  while (taken.includes(name)) name = `${base}-${(count += 1)}`;
  return name;
}

function queriesOf(values: StatisticsValues, measure: Measure): Schemas['StatisticsQuery'][] {
  const columns: (string | null)[] = values.columns?.length ? values.columns : [null];
  const queries: Schemas['StatisticsQuery'][] = [];
  for (const column of columns) {
    const parts = [measure, ...(column ? [column] : []), ...(values.by ? ['by', values.by] : [])];
    const name = answerName(parts, queries.map((one) => one.name));
    const quantiles = measure === 'quantile' ? (values.quantiles ?? []) : [];
    queries.push({ name, measure, column, by: values.by ?? null, bins: values.bins ?? 64, quantiles });
  }
  return queries;
}

/** The fields, by their labels in the catalogue, without which nothing can be said. */
export function statisticsMissing(values: StatisticsValues): string[] {
  const { project, name, purpose, datasets, measure, limit, columns } = values;
  const byNoise = limit === 'noise';
  const fields: [string, unknown][] = [
    ['project', project],
    ['name', name?.trim()],
    ['purpose', purpose?.trim()],
    ['datasets', datasets?.length],
    ['measure', measure],
    ['columns', measure === 'count' || columns?.length],
    [byNoise ? 'noise' : 'epsilon', byNoise ? values.noise : values.epsilon],
    ['delta', values.delta],
  ];
  return fields.flatMap(([field, value]) => (value ? [] : [field]));
}

/** The request; null while something that nothing can be said without is missing. */
export function statisticsRequest(values: StatisticsValues): StatisticsBody | null {
  const { project, name, purpose, datasets, measure } = values;
  const byNoise = values.limit === 'noise';
  const amount = byNoise ? values.noise : values.epsilon;
  if (statisticsMissing(values).length) return null;
  if (!project || !name || !purpose || !datasets || !measure || !amount || !values.delta) return null;
  return {
    kind: 'statistics',
    priority: 5,
    project,
    name: name.trim(),
    purpose: purpose.trim(),
    datasets,
    queries: queriesOf(values, measure),
    privacy: {
      delta: values.delta,
      noise: 'shared',
      mechanism: 'gaussian',
      library: 'opendp',
      ...(byNoise ? { noise_multiplier: amount } : { epsilon: amount }),
    },
  };
}
