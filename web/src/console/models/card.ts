/** A model card as the centre tells it: an object of many parts, read with care. */
export type Card = Record<string, unknown>;
export type Metric = { name: string; value: number; error?: number };

/** An object's members; none of what is no object. */
export function members(value: unknown): Record<string, unknown> {
  const known = typeof value === 'object' && value !== null && !Array.isArray(value);
  return known ? (value as Record<string, unknown>) : {};
}

/** The texts in a list. */
export function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** A text; empty for what is none. */
export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The names of columns in one part of the features. */
export function columnsOf(card: Card, part: string): string[] {
  const listed = members(card['features'])[part];
  if (!Array.isArray(listed)) return [];
  return listed.map((one) => text(members(one)['column'])).filter(Boolean);
}

/** The metrics that are finite numbers, each with the error of its noise where it has one. */
export function metricsOf(card: { metrics?: unknown; metrics_errors?: unknown }): Metric[] {
  const errors = members(card.metrics_errors);
  return Object.entries(members(card.metrics)).flatMap(([name, value]) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return [];
    const error = errors[name];
    const noised = typeof error === 'number' && Number.isFinite(error) && error > 0;
    return [noised ? { name, value, error } : { name, value }];
  });
}

const WHOLE = new Set(['rows', 'examples', 'validation_rows', 'train_rows']);

/** A metric for the eye: counts whole, others to four digits, ± 95 of 100 where noise was added. */
export function shownMetric(metric: Metric, language: string): string {
  const digits = WHOLE.has(metric.name) ? 0 : 4;
  const format = new Intl.NumberFormat(language === 'zh' ? 'zh-CN' : 'en', {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits,
  });
  const value = format.format(metric.value);
  return metric.error ? `${value} ± ${format.format(1.96 * metric.error)}` : value;
}

/** All names of metrics of some models, in the order in which they are met. */
export function namesOf(rows: readonly { metrics?: unknown }[]): string[] {
  return [...new Set(rows.flatMap((one) => metricsOf(one).map((metric) => metric.name)))];
}
