import { expect, test } from 'vitest';
import { differences } from './differences';

test('fields that differ are told by their path, whichever spec has them', () => {
  const one = { name: 'a', plan: { rounds: 3, seed: 1 }, columns: ['x'] };
  const other = { name: 'b', plan: { rounds: 5, seed: 1 }, columns: ['x', 'y'], privacy: null };
  expect(differences([one, other])).toEqual([
    { field: 'plan.rounds', values: ['3', '5'] },
    { field: 'columns', values: ['["x"]', '["x","y"]'] },
    { field: 'privacy', values: ['', 'null'] },
  ]);
});

test('equal specs differ nowhere', () => {
  expect(differences([{ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }])).toEqual([]);
});
