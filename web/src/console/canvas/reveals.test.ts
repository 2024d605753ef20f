import { expect, test } from 'vitest';
import { rowsOf, rowsOfStep } from './reveals';
import type { Checked } from './useCheck';

const row = (who: string, ...steps: string[]) => ({ who, sees: 'sums', why: 'masked', steps });
const learns = [row('operator', 'prepare'), row('enclave', 'train'), row('readers', 'prepare', 'train')];
const answer = { preview: { parties: [], protection: 'secagg', learns } } as unknown as Checked;

test('a step tells what is said of it, not what its kind usually tells', () => {
  expect(rowsOfStep(answer, 'prepare')).toEqual([
    { who: 'operator', sees: 'sums', why: 'masked' },
    { who: 'readers', sees: 'sums', why: 'masked', steps: ['prepare', 'train'] },
  ]);
  expect(rowsOfStep(answer, 'other')).toEqual([]);
  expect(rowsOfStep(null, 'prepare')).toEqual([]);
});

test('of a whole job each row names its steps', () => {
  expect(rowsOf(answer).map((one) => one.steps)).toEqual([['prepare'], ['train'], ['prepare', 'train']]);
});
