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

test('each form has a number of its own', () => {
  expect(once()).toMatch(/^[0-9a-f]{32}$/);
  expect(once()).not.toBe(once());
});
