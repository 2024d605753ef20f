import { expect, test } from 'vitest';
import { money } from '../format';
import { inSteps, shareOfWeights, termsOf } from './agreement';
import { decimalsOf } from './currencies';

const SIGNED = {
  v: 1, project: 'prj_1', version: 2, previous: 'ab', floor: 500, rounding: 'bank-a',
  currency: 'EUR', window_days: 30, payer: 'bank-b', per_job: 100_000, entered: true,
  unscored: 'left_out', kinds: ['training'],
  weights: { scores: 3, rows: 0, participation: 1 },
  members: [{ organisation: 'bank-a', key: 'K', quality: 80 }],
};

test('the terms of an agreement are read whole', () => {
  const terms = termsOf(SIGNED);
  expect(terms.members).toEqual([{ organisation: 'bank-a', key: 'K', quality: 80 }]);
  expect([terms.payer, terms.rounding, terms.perJob, terms.windowDays, terms.decimals]).toEqual(
    ['bank-b', 'bank-a', 100_000, 30, 2],
  );
  expect(shareOfWeights(terms)).toEqual([
    { measure: 'scores', share: 0.75 },
    { measure: 'participation', share: 0.25 },
  ]);
  expect(termsOf(null).members).toEqual([]);
});

test('minor units are written in the decimals of their currency, and exactly', () => {
  expect(money(27_990, 2, 'EUR', 'en')).toBe('279.90 EUR');
  expect(money(5, 0, 'JPY', 'en')).toBe('5 JPY');
  expect(money(1, 3, 'KWD', 'zh')).toBe('0.001 KWD');
  expect(money(10 ** 15 - 1, 2, 'EUR', 'en')).toBe('9,999,999,999,999.99 EUR');
  expect(['EUR', 'JPY', 'KWD', 'CLF'].map(decimalsOf)).toEqual([2, 0, 3, 4]);
});

test('a score has its four decimals', () => {
  expect([12_345, -7, 0, null, undefined].map(inSteps)).toEqual(['1.2345', '−0.0007', '0.0000', '', '']);
});
