import { expect, test } from 'vitest';
import { answersOf, askedIn, toDigits } from './answers';

const ASKED = { query: 'mean age', measure: 'mean', column: 'age', by: 'region' };

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
        measure: 'mean',
        column: 'age',
        by: 'region',
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
      ...ASKED,
      of: 'north',
      value: '41.23',
      interval: '40.10 – 42.40',
      reason: '',
    },
    { key: '0/1', ...ASKED, of: 'south', value: '', interval: '', reason: 'too few' },
  ]);
  expect(answersOf({ answers: 3 }, 'en')).toEqual([]);
});

test('what was asked is said in words, and by its name where there are none', () => {
  const say = (key: string, facts?: Record<string, unknown>) => `${key} ${JSON.stringify(facts ?? '')}`;
  const row = { key: '', of: '', value: '', interval: '', reason: '', ...ASKED };
  expect(askedIn(row, say)).toContain('jobs:answer.asked.by');
  expect(askedIn({ ...row, by: '' }, say)).toContain('"column":"age"');
  expect(askedIn({ ...row, by: '', column: '' }, say)).toContain('jobs:answer.rows');
  expect(askedIn({ ...row, measure: 'median' }, say)).toBe('mean age');
});
