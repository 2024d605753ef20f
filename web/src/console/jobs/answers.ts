/** Answers of statistics as rows: values to two digits of their error, and the 95 % interval. */
import type { Say } from '../../shared/i18n';
import { members, text } from '../models/card';

export type AnswerRow = {
  key: string;
  query: string;
  measure: string;
  column: string;
  by: string;
  of: string;
  value: string;
  interval: string;
  reason: string;
};

function finite(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** A number to the digits that its standard error leaves: further ones would be noise. */
export function toDigits(value: number, error: unknown, language: string): string {
  const known = finite(error) && error > 0;
  const digits = known ? Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(error)))) : 4;
  return new Intl.NumberFormat(language === 'zh' ? 'zh-CN' : 'en', {
    maximumFractionDigits: digits,
    minimumFractionDigits: known ? digits : 0,
  }).format(value);
}

/** What a row is about: its group, its cell, its quantile. */
function about(row: Record<string, unknown>): string {
  return ['group', 'cell', 'quantile']
    .map((name) => row[name])
    .filter((one) => one !== undefined && one !== null && one !== '')
    .map((one) => (typeof one === 'string' || typeof one === 'number' ? String(one) : JSON.stringify(one)))
    .join(' · ');
}

const MEASURES = new Set(['count', 'mean', 'sum', 'variance', 'quantile', 'histogram']);

/** What was asked, in words; the name that whoever asked gave it, where the measure has none. */
export function askedIn(row: AnswerRow, t: Say): string {
  if (!MEASURES.has(row.measure)) return row.query;
  const measure = t(`words:measure.${row.measure}`);
  const column = row.column || t('jobs:answer.rows');
  return row.by
    ? t('jobs:answer.asked.by', { measure, column, by: row.by })
    : t('jobs:answer.asked', { measure, column });
}

/** Every row of every answer of a report. */
export function answersOf(report: Record<string, unknown>, language: string): AnswerRow[] {
  const listed = report['answers'];
  if (!Array.isArray(listed)) return [];
  return listed.flatMap((one: unknown, at) => {
    const answer = members(one);
    const rows = Array.isArray(answer['rows']) ? answer['rows'] : [];
    return rows.map((each: unknown, place) => {
      const row = members(each);
      const { value, low, high, standard_error: error } = row;
      const shown = (number: unknown) => (finite(number) ? toDigits(number, error, language) : '');
      return {
        key: `${at}/${place}`,
        query: text(answer['name']),
        measure: text(answer['measure']),
        column: text(answer['column']),
        by: text(answer['by']),
        of: about(row),
        value: finite(value) ? shown(value) : text(value),
        interval: finite(low) && finite(high) ? `${shown(low)} – ${shown(high)}` : '',
        reason: text(row['reason']),
      };
    });
  });
}
