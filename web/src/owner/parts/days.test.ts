import { expect, test } from 'vitest';
import { dayAfter } from './days';

test('a day is written with its zeros, over the ends of months and years', () => {
  expect(dayAfter(new Date(2001, 0, 2), 0)).toBe('2001-01-02');
  expect(dayAfter(new Date(2000, 1, 28), 1)).toBe('2000-02-29');
  expect(dayAfter(new Date(1999, 11, 31, 23, 59), 1)).toBe('2000-01-01');
});
