import { expect, test } from 'vitest';
import { Problem } from '../../api/problem';
import { mended } from './mended';

const t = (key: string, facts?: Record<string, unknown>) => `${key} ${JSON.stringify(facts ?? {})}`;

function refused(details: Record<string, unknown>, code = 'invalid_request') {
  const hint = 'Name the column: --key ORGANISATION=COLUMN.';
  return new Problem({ status: 422, code, message: 'No key of bank-b/adult.', hint, details, request: 'r1' });
}

test('a template without keys is mended on the page, by whom it needs', () => {
  const told = mended(refused({ field: 'keys', owners: ['bank-b', 'bank-c'] }), t);
  expect(told.hint).toBe('canvas:template.keyless {"owners":"bank-b, bank-c"}');
  expect(told.message).toBe('No key of bank-b/adult.');
  expect([told.code, told.status, told.request]).toEqual(['invalid_request', 422, 'r1']);
  expect(mended(refused({ field: 'label' }), t).hint).toContain('canvas:template.labelless');
});

test('every other failure is told as it came', () => {
  const other = refused({ field: 'keys', owners: ['bank-b'] }, 'unknown_column');
  expect(mended(other, t)).toBe(other);
  const elsewhere = refused({ field: 'datasets' });
  expect(mended(elsewhere, t)).toBe(elsewhere);
  expect(mended(refused({ field: 'keys' }), t).hint).toContain('--key'); // of an older centre
});
