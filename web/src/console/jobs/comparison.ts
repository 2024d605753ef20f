import { members, text, texts } from '../models/card';

export type ComparedCell = { value: string; interval: string; noise: string; best: boolean };
export type ComparedLine = { metric: string; better: '' | 'higher' | 'lower'; cells: ComparedCell[] };
export type ComparedModel = { name: string; rowsOf: string[] };
export type Compared = {
  title: string;
  models: ComparedModel[];
  lines: ComparedLine[];
  notes: string[];
};

const MOST = 64;

function rowsOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.map(members) : [];
}

/** The comparison in a report, as far as it has the expected shape; null for fewer than two models. */
export function comparisonOf(report: Record<string, unknown>): Compared | null {
  const whole = members(report['comparison']);
  const models = rowsOf(whole['models'])
    .slice(0, MOST)
    .map((one) => ({
      name: text(one['name']) || text(one['model']) || text(one['job']),
      rowsOf: texts(one['rows_of']),
    }));
  const lines = rowsOf(whole['lines']).map((one) => ({
    metric: text(one['metric']),
    better: betterOf(one['better']),
    cells: rowsOf(one['cells']).slice(0, models.length).map(cellOf),
  }));
  if (models.length < 2 || !lines.length) return null;
  const notes = rowsOf(whole['rows']).map((one) => text(one['value']));
  return { title: text(whole['title']), models, lines, notes };
}

function betterOf(value: unknown): ComparedLine['better'] {
  return value === 'higher' || value === 'lower' ? value : '';
}

function cellOf(cell: Record<string, unknown>): ComparedCell {
  return {
    value: text(cell['value']),
    interval: text(cell['interval']),
    noise: text(cell['noise']),
    best: cell['best'] === true,
  };
}
