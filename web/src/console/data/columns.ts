/** What a column's declaration says of its values, in one line. */
import type { Schemas } from '../../api/client';
import { number } from '../../shared/format';
import type { Language } from '../../shared/preferences';

/** As answers are read: a pair of bounds is a list there. */
export type Column = Omit<Schemas['ColumnConfig'], 'bounds'> & { bounds?: number[] | null };
export type Dataset = Omit<Schemas['Dataset'], 'columns'> & { columns: Column[] };
const SHOWN = 6;

/** Bounds, categories or shape; empty where nothing is declared. */
export function valuesOf(column: Column, language: Language): string {
  if (column.bounds) {
    const [least = 0, most = 0] = column.bounds;
    return `${number(least, language)} … ${number(most, language)}`;
  }
  if (column.categories?.length) {
    const shown = column.categories.slice(0, SHOWN).join(', ');
    const more = column.categories.length - SHOWN;
    return more > 0 ? `${shown}, … (+${number(more, language)})` : shown;
  }
  if (column.shape) return column.shape.join(' × ') + (column.dtype ? ` ${column.dtype}` : '');
  return '';
}

/** Sensitive ones first, else as they were declared. */
export function inOrder(columns: readonly Column[]): Column[] {
  return [...columns].sort((a, b) => Number(b.sensitive ?? false) - Number(a.sensitive ?? false));
}
