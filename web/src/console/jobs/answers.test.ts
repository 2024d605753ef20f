import { expect, test } from 'vitest';
import { answersOf, toDigits } from './answers';

test('a value has the digits that its error leaves', () => {
  expect(toDigits(1234.5678, 3.2, 'en')).toBe('1,234.6');
  expect(toDigits(1234.5678, 320, 'en')).toBe('1,235');
  expect(toDigits(0.123456, 0.0021, 'en')).toBe('0.1235');
  expect(toDigits(0.5, undefined, 'en')).toBe('0.5');
});

test('each row says what it is about, its interval, or why there is none', () => {
  const report = {
    answers: [
      {
        name: 'mean age',
        rows: [
          { group: 'north', value: 41.23, low: 40.1, high: 42.4, standard_error: 0.6 },
          { group: 'south', value: null, reason: 'too few' },
        ],
      },
      { name: 'broken', rows: 'x' },
    ],
  };
  expect(answersOf(report, 'en')).toEqual([
    {
      key: '0/0',
      query: 'mean age',
      of: 'north',
      value: '41.23',
      interval: '40.10 – 42.40',
      reason: '',
    },
    { key: '0/1', query: 'mean age', of: 'south', value: '', interval: '', reason: 'too few' },
  ]);
  expect(answersOf({ answers: 3 }, 'en')).toEqual([]);
});
