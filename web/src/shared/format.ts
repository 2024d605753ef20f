/** Numbers, bytes and durations as the user's language writes them. */
import type { Language } from './preferences';

const TAGS: Record<Language, string> = { en: 'en-GB', zh: 'zh-CN' };
const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte'];
const PARTS: [string, number][] = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];
const DAY = 86_400;
/** From here on a moment's day stands beside it. */
const FAR = 14 * DAY;
const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

/** A number with its separators, and at most so many digits after the point. */
export function number(value: number, language: Language, digits = 0): string {
  return new Intl.NumberFormat(TAGS[language], { maximumFractionDigits: digits }).format(value);
}

/** Whole minor units as people write them, such as `279.90 EUR`; exact up to 10^15. */
export function money(amount: number, decimals: number, currency: string, language: Language): string {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const written = new Intl.NumberFormat(TAGS[language], digits).format(amount / 10 ** decimals);
  return `${written} ${currency}`.trim();
}

/** A part of one as a percentage. */
export function percent(value: number, language: Language, digits = 1): string {
  const options = { style: 'percent', maximumFractionDigits: digits } as const;
  return new Intl.NumberFormat(TAGS[language], options).format(value);
}

/** A size in bytes, by thousands. */
export function bytes(value: number, language: Language): string {
  const step = value < 1 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), UNITS.length - 1);
  return new Intl.NumberFormat(TAGS[language], {
    style: 'unit',
    unit: UNITS[step] ?? 'byte',
    unitDisplay: 'short',
    maximumFractionDigits: step ? 1 : 0,
  }).format(value / 1000 ** step);
}

/** A duration in seconds, by its two largest units. */
export function duration(seconds: number, language: Language): string {
  const tag = TAGS[language];
  let rest = Math.max(0, Math.round(seconds));
  const said: string[] = [];
  for (const [unit, size] of PARTS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (!count && !(unit === 'second' && !said.length)) continue;
    const options = { style: 'unit', unit, unitDisplay: 'short' } as const;
    said.push(new Intl.NumberFormat(tag, options).format(count));
    if (said.length === 2) break;
  }
  return said.join(' ');
}

/** A moment as the clock of a zone shows it; the browser's own zone if none is said. */
export function moment(unix: number, language: Language, zone = ''): string {
  const options: Intl.DateTimeFormatOptions = {
    dateStyle: 'medium',
    timeStyle: 'medium',
    ...(zone ? { timeZone: zone } : {}),
  };
  try {
    return new Intl.DateTimeFormat(TAGS[language], options).format(unix * 1000);
  } catch {
    return moment(unix, language); // a zone that this browser does not know
  }
}

/** The day of a moment in a zone; the browser's own zone if none is said. */
export function day(unix: number, language: Language, zone = ''): string {
  const options: Intl.DateTimeFormatOptions = {
    dateStyle: 'medium',
    ...(zone ? { timeZone: zone } : {}),
  };
  try {
    return new Intl.DateTimeFormat(TAGS[language], options).format(unix * 1000);
  } catch {
    return day(unix, language);
  }
}

/** Whether a moment is so far away that its day belongs beside how far. */
export function isFar(unix: number, now: number): boolean {
  return Math.abs(unix - now) >= FAR;
}

/**
 * How long ago a moment was, or how far ahead it is, rounded to the nearest unit. A larger unit is
 * said once two of it have gone by: 45 days are 6 weeks, not a month.
 */
export function relative(unix: number, now: number, language: Language): string {
  const away = unix - now;
  const format = new Intl.RelativeTimeFormat(TAGS[language], { numeric: 'auto' });
  for (const [unit, size] of STEPS) {
    const least = size > DAY ? 2 * size - size / 20 : size;
    if (Math.abs(away) >= least) return plainly(format.format(nearest(away / size), unit));
  }
  return format.format(0, 'second');
}

/** As the other texts write it in Chinese: 54 秒前, where browsers say 54秒钟前. */
function plainly(text: string): string {
  return text.replace('秒钟', '秒').replace(/(\d)([\u4e00-\u9fff])/u, '$1 $2');
}

/** The nearest whole number, halves away from zero, so that both directions are said alike. */
function nearest(value: number): number {
  return Math.sign(value) * Math.round(Math.abs(value));
}
