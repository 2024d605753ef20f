import { expect, test } from 'vitest';
import type { Account } from '../session';
import { administers, operates } from './rights';

function someone(organisation: string, ...roles: Account['roles']): Account {
  return { id: 'usr_1', name: 'a', display: 'A', organisation, roles, created: 1, disabled: false, handed: false };
}

test('only the operator administers the platform', () => {
  expect(operates(someone('', 'platform-admin'))).toBe(true);
  expect(operates(someone('bank-a', 'organisation-admin'))).toBe(false);
  expect(operates(undefined)).toBe(false);
});

test('an administrator administers their own organisation, and no other', () => {
  const ada = someone('bank-a', 'organisation-admin');
  expect(administers(ada, 'bank-a')).toBe(true);
  expect(administers(ada, 'bank-b')).toBe(false);
  expect(administers(someone('', 'platform-admin'), 'bank-b')).toBe(true);
  expect(administers(someone('bank-a', 'data-owner'), 'bank-a')).toBe(false);
});
