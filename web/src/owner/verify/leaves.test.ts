import { expect, test } from 'vitest';
import { readLeaves } from './leaves';

test('only what is said to be proved counts as proved', () => {
  const [good, odd, bare] = readLeaves([
    { kind: 'vote', hash: 'ab', proved: true },
    { kind: 3, hash: null, proved: 'true' },
    {},
  ]);
  expect(good).toEqual({ kind: 'vote', hash: 'ab', proved: true });
  expect(odd).toEqual({ kind: '', hash: '', proved: false });
  expect(bare?.proved).toBe(false);
});
