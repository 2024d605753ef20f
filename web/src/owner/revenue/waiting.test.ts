import { expect, test } from 'vitest';
import type { Schemas } from '../api';
import { agrees, waitingFor, waysOf } from './waiting';

type Shown = Schemas['OwnSettlement'];
const ROW: Shown['row'] = {
  id: 'ab', state: 'open', jobs: [], entered: 0, approvals: ['bank-a'], disputes: [], needed: 2,
  withdrawn: [], replaces: '', since: 0, closes: 0, closed: 0,
};

function shown(row: Partial<Shown['row']> = {}, more: Partial<Shown> = {}): Shown {
  return {
    row: { ...ROW, ...row }, organisation: 'bank-b', currency: 'EUR', payer: 'bank-a',
    digest: 'd', centre: 'd', amount: 100, totals: [], owed: [], bookings: [], left_out: [],
    payments: [], accusations: [], ...more,
  };
}
const payment = (payee: string, amount: number, confirmed = false) => ({
  payer: 'bank-a', payee, amount, reference: 'cd', confirmed,
});

test('who has not approved is waited for, until the settlement is over', () => {
  expect(waitingFor(ROW, 'bank-b')).toBe(true);
  expect(waitingFor(ROW, 'bank-a')).toBe(false);
  expect(waitingFor({ ...ROW, state: 'superseded' }, 'bank-b')).toBe(false);
  expect(waitingFor({ ...ROW, state: 'closed' }, 'bank-a')).toBe(true);
});

test('approving, disputing and taking back follow the state', () => {
  const ways = (row: Partial<Shown['row']>) => {
    const { approve, dispute, withdraw } = waysOf(shown(row), 10);
    return [approve, dispute, withdraw];
  };
  expect(ways({})).toEqual([true, true, false]);
  expect(ways({ approvals: ['bank-b'], state: 'approved', closes: 11 })).toEqual([false, true, false]);
  expect(ways({ approvals: ['bank-b'], state: 'approved', closes: 10 })).toEqual([false, false, false]);
  expect(ways({ disputes: ['bank-b'], state: 'disputed' })).toEqual([true, false, true]);
  expect(ways({ withdrawn: ['bank-b'] })).toEqual([true, false, false]);
  expect(ways({ state: 'paid' })).toEqual([false, false, false]);
});

test('the payer pays what is left, a payee confirms what was stated to it', () => {
  const owed = [{ organisation: 'bank-b', amount: 70 }, { organisation: 'bank-c', amount: 30 }];
  const payments = [payment('bank-c', 30), payment('bank-b', 20, true)];
  const own = waysOf(shown({ state: 'closed' }, { organisation: 'bank-a', owed, payments }), 10);
  expect(own.pay).toEqual([{ organisation: 'bank-b', amount: 50 }]);
  const payee = waysOf(shown({ state: 'closed' }, { organisation: 'bank-c', owed, payments }), 10);
  expect([payee.pay, payee.confirm]).toEqual([[], [payments[0]]]);
  expect(waysOf(shown({}, { organisation: 'bank-a', owed, payments }), 10).pay).toEqual([]);
});

test('amounts agree only where the centre shows the digest that was computed here', () => {
  expect(agrees(shown())).toBe(true);
  expect(agrees(shown({}, { centre: 'e' }))).toBe(false);
  expect(agrees(shown({}, { digest: '', centre: '' }))).toBe(false);
});
