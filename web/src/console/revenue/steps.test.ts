import { expect, test } from 'vitest';
import { closable, dueTo, statementAt, stepsFor, type Settlement } from './steps';

const ID = 'ab'.repeat(32);
const member = (organisation: string, owed = 0) => ({
  organisation, key: 'f', amount: 100, owed, stated: 0, confirmed: 0,
});
const signed = (organisation: string, more = {}) => ({
  organisation, at: 5, key: 'f', digest: 'd', equal: true, withdrawn: false, code: '', ...more,
});
const payment = (payee: string, amount: number, confirmed: number | null) => ({
  payer: 'bank-a', payee, amount, reference: 'cd', stated: 5, confirmed,
});

function settlement(more: Partial<Settlement> = {}): Settlement {
  const made: Settlement = {
    id: ID, project: 'prj_1', state: 'open', agreement: 'x', agreement_version: 1, version: 1,
    replaces: '', opened: 1, by: 'u', jobs: [], entered: 0, currency: 'EUR', decimals: 2,
    payer: 'bank-a', rounding: 'bank-a', floor: 0, amount: 300, computed: 'd', needed: 2,
    since: null, closes: null, closed: null,
    members: [member('bank-a'), member('bank-b'), member('bank-c')],
    bookings: [], left_out: [], approvals: [], disputes: [], payments: [], accusations: [],
    ignored: {},
  };
  return { ...made, ...more };
}
const whats = (one: Settlement, who: string, now = 10) => stepsFor(one, who, now).map((s) => s.what);

test('a member approves or disputes at its agent, by the whole id', () => {
  const [approve, dispute] = stepsFor(settlement(), 'bank-b', 10);
  expect(approve?.command).toBe(`secureflow agent settlement approve ${ID}`);
  expect(dispute?.command).toBe(`secureflow agent settlement dispute ${ID} --reason "…"`);
  expect(whats(settlement(), 'telco')).toEqual([]);
});

test('who has approved is not asked again, unless it was for other amounts', () => {
  expect(whats(settlement({ approvals: [signed('bank-b')] }), 'bank-b')).toEqual(['dispute']);
  const other = settlement({ approvals: [signed('bank-b', { equal: false })] });
  expect(whats(other, 'bank-b')).toEqual(['approve', 'dispute']);
});

test('a dispute is taken back once, and none is begun after the window', () => {
  expect(whats(settlement({ disputes: [signed('bank-b')] }), 'bank-b')).toEqual(['approve', 'withdraw']);
  const back = settlement({ disputes: [signed('bank-b', { withdrawn: true })] });
  expect(whats(back, 'bank-b')).toEqual(['approve']);
  const over = settlement({ state: 'approved', closes: 9, approvals: [signed('bank-b')] });
  expect(whats(over, 'bank-b')).toEqual([]);
});

test('once it is closed the payer pays what is due, and each payee confirms its own', () => {
  const one = settlement({
    state: 'closed', closed: 8,
    members: [member('bank-a'), member('bank-b', 70), member('bank-c', 30)],
    payments: [payment('bank-c', 30, null), payment('bank-b', 20, 9)],
  });
  expect([dueTo(one, 'bank-b'), dueTo(one, 'bank-c')]).toEqual([70, 0]);
  const [pay, ...more] = stepsFor(one, 'bank-a', 10);
  expect(more).toEqual([]);
  expect(pay?.command).toBe(
    `secureflow agent settlement pay ${ID} --payee bank-b --amount 70 --reference "…"`,
  );
  expect(stepsFor(one, 'bank-c', 10).map((each) => each.command)).toEqual([
    `secureflow agent settlement confirm ${ID} --payer bank-a --reference cd`,
  ]);
  expect(whats(one, 'bank-b')).toEqual([]);
});

test('only an approved settlement whose window is over can be closed', () => {
  expect(closable(settlement({ state: 'approved', closes: 10 }), 10)).toBe(true);
  expect(closable(settlement({ state: 'approved', closes: 11 }), 10)).toBe(false);
  expect(closable(settlement({ state: 'disputed', closes: 9 }), 10)).toBe(false);
  expect(closable(settlement({ state: 'open' }), 10)).toBe(false);
});

test('a statement has one address for each form', () => {
  expect(statementAt('/p', 'a/b', 'csv', 'bank-a', 'zh')).toBe(
    '/p/api/v1/settlements/a%2Fb/statement.csv?organisation=bank-a',
  );
  expect(statementAt('', 'ab', 'html', 'bank-a', 'zh')).toBe(
    '/api/v1/settlements/ab/statement?organisation=bank-a&format=html&lang=zh',
  );
});
