import { expect, test } from 'vitest';
import { linesOf, once, termsOf, type Filled } from './terms';

const LEAST: Filled = { dataset: 'd', project: ' p ', columns: ['a'], days: 2 };

test('what is left empty is not granted: no code, nothing without people', () => {
  const terms = termsOf(LEAST, 1000.7);
  expect(terms).toMatchObject({ project: 'p', bundles: 'none', automatic: false, uses: null });
  expect(terms.expires).toBe(1000 + 2 * 86_400);
  expect([terms.parties, terms.kinds, terms.purposes]).toEqual([[], [], []]);
});

test('what is filled in is named as it was written', () => {
  const form = { ...LEAST, purposes: 'risk\n\n  churn ', parties: 'bank-b', uses: 3, bundles: true };
  expect(termsOf(form, 0)).toMatchObject({
    purposes: ['risk', 'churn'],
    parties: ['bank-b'],
    uses: 3,
    bundles: 'person',
  });
  expect(termsOf({ ...form, digests: ` ${'a'.repeat(64)}\n` }, 0).bundles).toEqual(['a'.repeat(64)]);
  expect(termsOf({ ...form, digests: ' \n' }, 0).bundles).toBe('person');
  expect(linesOf(undefined)).toEqual([]);
});

test('rows leave only by number, and to a SIMULATED enclave only if somebody says so', () => {
  expect(termsOf(LEAST, 0).validation).toBeNull();
  expect(termsOf({ ...LEAST, leaving: 0, simulated: true }, 0).validation).toBeNull();
  expect(termsOf({ ...LEAST, simulated: true }, 0).validation).toBeNull();
  const rows = { ...LEAST, leaving: 50 };
  expect(termsOf(rows, 0).validation).toEqual({ rows: 50, simulated: false });
  expect(termsOf({ ...rows, simulated: true }, 0).validation).toEqual({ rows: 50, simulated: true });
});

test('trees of this party alone are released only by number', () => {
  expect(termsOf(LEAST, 0).own_trees).toBeNull();
  expect(termsOf({ ...LEAST, trees: 0 }, 0).own_trees).toBeNull();
  expect(termsOf({ ...LEAST, trees: 100 }, 0).own_trees).toBe(100);
});

test('each form has a number of its own', () => {
  expect(once()).toMatch(/^[0-9a-f]{32}$/);
  expect(once()).not.toBe(once());
});
