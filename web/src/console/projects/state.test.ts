import { expect, test } from 'vitest';
import type { Project } from '../project';
import type { Account } from '../session';
import { founds, leads, membershipOf, stateOf } from './state';

const PROJECT: Project = {
  id: 'prj_1',
  name: 'Credit risk',
  purpose: 'credit-scoring',
  organisation: 'bank-a',
  members: [{ organisation: 'bank-a', state: 'active', since: 1 }],
  created: 1,
  description: '',
  restricted: false,
  people: [],
  template: '',
};

function someone(organisation: string, ...roles: Account['roles']): Account {
  return { id: 'usr_1', name: 'a', display: 'A', organisation, roles, created: 1, disabled: false, handed: false };
}

test('a project is archived, frozen, past its end, or open', () => {
  expect(stateOf(PROJECT, 10)).toBe('open');
  expect(stateOf({ ...PROJECT, ends: 10 }, 10)).toBe('ended');
  expect(stateOf({ ...PROJECT, ends: 11 }, 10)).toBe('open');
  const frozen = { organisation: '', user: 'usr_2', at: 5, reason: '', salt: '' };
  expect(stateOf({ ...PROJECT, ends: 10, frozen }, 10)).toBe('frozen');
  expect(stateOf({ ...PROJECT, frozen, closed: 6 }, 10)).toBe('archived');
});

test('only the founder changes its state', () => {
  expect(founds(someone('bank-a', 'organisation-admin'), PROJECT)).toBe(true);
  expect(founds(someone('bank-b', 'organisation-admin'), PROJECT)).toBe(false);
  expect(founds(someone('bank-a', 'data-scientist'), PROJECT)).toBe(false);
});

test('a lead of the project counts as one', () => {
  const people = [{ user: 'usr_1', organisation: 'bank-b', roles: ['lead' as const], since: 1 }];
  expect(leads(someone('bank-b', 'data-owner'), { ...PROJECT, people })).toBe(true);
  expect(leads(someone('bank-b', 'data-owner'), PROJECT)).toBe(false);
  expect(leads(undefined, PROJECT)).toBe(false);
});

test('who is not a member has no membership', () => {
  expect(membershipOf(PROJECT, 'bank-a')?.state).toBe('active');
  expect(membershipOf(PROJECT, 'bank-b')).toBeUndefined();
});
