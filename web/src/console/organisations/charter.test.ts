import { expect, test } from 'vitest';
import { factsOf } from './charter';

function shown(version: number, count: number, signed: number) {
  const names = Array.from({ length: count }, (_, at) => `bank-${at}`);
  return {
    charter: {
      version,
      origin: 'secureflow.example/log',
      members: names.map((organisation) => ({ organisation, name: organisation, key: 'k' })),
    },
    signatures: Object.fromEntries(names.slice(0, signed).map((name) => [name, 's'])),
    digest: 'd',
    words: 'w',
    digits: '1',
  };
}

test('the first charter needs everybody', () => {
  expect(factsOf(shown(1, 3, 2))).toMatchObject({ signed: 2, needed: 3 });
});

test('a later one needs more than two thirds', () => {
  expect(factsOf(shown(2, 3, 0)).needed).toBe(3);
  expect(factsOf(shown(2, 4, 0)).needed).toBe(3);
  expect(factsOf(shown(2, 6, 0)).needed).toBe(5);
});

test('what is none of a charter shows nothing', () => {
  const broken = { ...shown(1, 1, 0), charter: { members: ['x', null], version: 'a' } };
  expect(factsOf(broken).members.map((one) => one.organisation)).toEqual(['', '']);
  expect(factsOf({ ...broken, charter: {} })).toMatchObject({ members: [], version: 0 });
});
