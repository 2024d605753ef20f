import { expect, test } from 'vitest';
import { termsOf } from '../../shared/revenue/agreement';
import { begun, highestFloor, sent } from './drafting';

const STANDING = termsOf({
  version: 2, floor: 525, rounding: 'bank-c', currency: 'JPY', window_days: 7, payer: 'bank-b',
  per_job: 1000, entered: false, unscored: 'equal', kinds: ['training'],
  weights: { scores: 3, rows: 1, participation: 0 },
  members: [
    { organisation: 'bank-b', key: 'k', quality: 80 },
    { organisation: 'bank-c', key: 'k', quality: 100 },
  ],
});

test('a first draft begins with plain terms, in which the drafter pays', () => {
  const drafted = begun(null, 'bank-a', ['bank-a', 'bank-b']);
  expect(sent(drafted)).toEqual({
    weights: { scores: 1, rows: 0, participation: 0 }, floor: 0, rounding: 'bank-a',
    payer: 'bank-a', currency: 'EUR', window_days: 30, per_job: 0, entered: true,
    unscored: 'left_out', kinds: [], quality: {},
  });
});

test('the next one begins with the terms that stand, whoever drafts it', () => {
  const drafted = begun(STANDING, 'bank-a', ['bank-a', 'bank-b', 'bank-c']);
  expect(sent(drafted)).toEqual({
    weights: { scores: 3, rows: 1, participation: 0 }, floor: 525, rounding: 'bank-c',
    payer: 'bank-b', currency: 'JPY', window_days: 7, per_job: 1000, entered: false,
    unscored: 'equal', kinds: ['training'], quality: { 'bank-b': 80 },
  });
});

test('a floor in per cent is sent in whole basis points', () => {
  const floor = (percent: number) => sent({ ...begun(null, 'a', []), floor: percent }).floor;
  expect([0.29, 1.15, 33.33].map(floor)).toEqual([29, 115, 3333]);
  expect([0, 1, 3, 7].map(highestFloor)).toEqual([100, 100, 33.33, 14.28]);
});
