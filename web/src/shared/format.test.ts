import { expect, test } from 'vitest';
import { bytes, day, duration, isFar, moment, number, percent, relative } from './format';

/** Kinds of spaces differ between versions of the data. */
const plain = (text: string) => text.replaceAll(/\s/g, ' ');

test('numbers, parts and sizes are written as the language writes them', () => {
  expect(number(1234567.891, 'en', 2)).toBe('1,234,567.89');
  expect(percent(0.8125, 'zh')).toBe('81.3%');
  expect(plain(bytes(0, 'en'))).toMatch(/^0 bytes?$/);
  expect(plain(bytes(999, 'en'))).toMatch(/^999 bytes?$/);
  expect(plain(bytes(180_400_000, 'en'))).toBe('180.4 MB');
  expect(bytes(1500, 'zh')).toContain('1.5');
});

test('a duration is said by its two largest units', () => {
  expect(plain(duration(0, 'en'))).toMatch(/^0 secs?$/); // versions of the data differ
  expect(plain(duration(59.6, 'en'))).toMatch(/^1 mins?$/);
  expect(plain(duration(3 * 86_400 + 3600 + 61, 'en'))).toMatch(/^3 days 1 hrs?$/);
  expect(plain(duration(90, 'zh'))).toBe('1分钟 30秒');
});

test('a moment follows its zone, and an unknown one is no failure', () => {
  expect(moment(0, 'en', 'UTC')).toContain('1970');
  expect(moment(0, 'en', 'Asia/Shanghai')).toContain('08:00:00');
  expect(moment(0, 'en', 'Nowhere/Else')).toMatch(/1970|1969/);
});

test('away from now, in both directions', () => {
  expect(relative(1000, 1000, 'en')).toBe('now');
  expect(relative(1000 - 40, 1000, 'en')).toBe('40 seconds ago');
  expect(relative(1000 - 59, 1000, 'zh')).toBe('59 秒前');
  expect(relative(1000 - 125, 1000, 'en')).toBe('2 minutes ago');
  expect(relative(1000 + 3 * 86_400, 1000, 'en')).toBe('in 3 days');
  expect(relative(1000 - 7200, 1000, 'zh')).toBe('2 小时前');
});

test('what is said of a time away is the nearest, in both directions', () => {
  const day = 86_400;
  expect(relative(90 * day, 0, 'en')).toBe('in 3 months');
  expect(relative(-90 * day, 0, 'zh')).toBe('3 个月前');
  expect(relative(45 * day, 0, 'en')).toBe('in 6 weeks');
  expect(relative(13 * day, 0, 'en')).toBe('in 13 days');
  expect(relative(14 * day, 0, 'en')).toBe('in 2 weeks');
  expect(relative(365 * day, 0, 'en')).toBe('in 12 months');
  expect(relative(3650 * day, 0, 'en')).toBe('in 10 years');
  expect(relative(-1.6 * 3600, 0, 'en')).toBe('2 hours ago');
  expect(relative(1.5 * day, 0, 'en')).toBe(relative(2 * day, 0, 'en'));
});

test('a day stands beside what is weeks away', () => {
  expect(isFar(90 * 86_400, 0)).toBe(true);
  expect(isFar(-90 * 86_400, 0)).toBe(true);
  expect(isFar(3 * 86_400, 0)).toBe(false);
  expect(day(90 * 86_400, 'en', 'UTC')).toBe('1 Apr 1970');
  expect(day(0, 'zh', 'Nowhere/Else')).toMatch(/1970|1969/);
});
