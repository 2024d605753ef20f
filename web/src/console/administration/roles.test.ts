import { expect, test } from 'vitest';
import type { Account } from '../session';
import { changes, offered, type Role } from './roles';

function someone(organisation: string, ...roles: Role[]): Account {
  return { id: 'usr_1', name: 'a', display: 'A', organisation, roles, created: 1, disabled: false, handed: false };
}

test('an organisation offers no role of the operator', () => {
  expect(offered('bank-a')).not.toContain('platform-admin');
  expect(offered('')).toEqual(['platform-admin']);
});

test('accounts are changed by the operator and by administrators of their organisation', () => {
  expect(changes(someone('', 'platform-admin'), 'bank-b')).toBe(true);
  expect(changes(someone('bank-a', 'organisation-admin'), 'bank-a')).toBe(true);
  expect(changes(someone('bank-a', 'organisation-admin'), 'bank-b')).toBe(false);
  expect(changes(someone('bank-a', 'auditor'), 'bank-a')).toBe(false);
  expect(changes(undefined, '')).toBe(false);
});
