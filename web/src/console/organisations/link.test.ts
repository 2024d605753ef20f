import { expect, test } from 'vitest';
import type { Account } from '../session';
import { linkSaid } from './link';

const ANN = { id: 'usr_1', organisation: 'bank-a', roles: ['data-scientist'] } as unknown as Account;
const ITEMS = [
  { party: 'bank-a', connected: true },
  { party: 'bank-b', connected: false },
];
const answer = { items: ITEMS, failed: false };

test('a link that the centre tells of is said as it is', () => {
  expect(linkSaid(ANN, 'bank-a', answer, true)).toBe('connected');
  expect(linkSaid(ANN, 'bank-b', answer, true)).toBe('away');
  expect(linkSaid(ANN, 'bank-c', answer, true)).toBe('never');
});

test('of who shares no project nothing is told, and that is said', () => {
  expect(linkSaid(ANN, 'bank-c', answer, false)).toBe('untold');
  expect(linkSaid(undefined, 'bank-c', answer, false)).toBe('untold');
  expect(linkSaid({ ...ANN, organisation: 'bank-c' }, 'bank-c', answer, false)).toBe('never');
});

test('a question that is open, or failed, is no state of an agent', () => {
  expect(linkSaid(ANN, 'bank-b', { items: undefined, failed: false }, true)).toBe('asking');
  expect(linkSaid(ANN, 'bank-b', { items: undefined, failed: true }, true)).toBe('unanswered');
});
