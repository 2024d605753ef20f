import { expect, test } from 'vitest';
import { comparisonOf } from './comparison';

const CELL = { value: '0.8100', interval: '0.7900 – 0.8300', noise: '', best: true };

test('models stand beside each other, with the best of each line', () => {
  const comparison = {
    title: 'Models compared',
    models: [{ name: 'a', rows_of: ['bank-a'] }, { model: 'ff', rows_of: ['bank-a'] }],
    lines: [{ metric: 'auc', better: 'higher', cells: [CELL, { value: 7, best: 'yes' }, CELL] }],
    rows: [{ label: '1.', value: 'All models were measured on the same rows.' }],
  };
  const told = comparisonOf({ comparison });
  expect(told?.models.map((one) => one.name)).toEqual(['a', 'ff']);
  expect(told?.lines[0]?.cells.map((one) => one.best)).toEqual([true, false]);
  expect(told?.lines[0]?.cells).toHaveLength(2);
  expect(told?.notes).toEqual(['All models were measured on the same rows.']);
});

test('what is no comparison is none', () => {
  for (const comparison of [null, 3, {}, { models: [{ name: 'a' }], lines: [] }, { models: 'x' }])
    expect(comparisonOf({ comparison })).toBeNull();
});
