import { expect, test } from 'vitest';
import { absentOf, concerns, patienceOf, withAbsent, withApproved } from './absent';

const job = (progress: Record<string, unknown>, state = 'running') => ({
  state,
  progress,
  spec: { roster: [{ party: 'bank-a' }, { party: 'bank-c' }], limits: { patience_seconds: 90 } },
});

test('who has no link is named with since when, and nobody once the job has ended', () => {
  const progress = { absent: { 'bank-c': '', 'bank-a': 'host-1:8444' }, absent_since: { 'bank-c': 7 } };
  expect(absentOf(job(progress))).toEqual([
    { party: 'bank-c', server: '', since: 7 },
    { party: 'bank-a', server: 'host-1:8444', since: 0 },
  ]);
  expect(absentOf(job(progress, 'cancelled'))).toEqual([]);
  expect(absentOf(job({ absent: null }))).toEqual([]);
  expect(absentOf(job({}))).toEqual([]);
});

test('a lane says that its agent is not connected rather than what it did last', () => {
  const lanes = ['bank-a', 'bank-c'].map((party) => ({ party, state: 'approved', reason: '', at: 3 }));
  const shown = withAbsent(lanes, [{ party: 'bank-c', server: '', since: 7 }]);
  expect(shown.map((one) => [one.party, one.state, one.at])).toEqual([
    ['bank-a', 'approved', 3],
    ['bank-c', 'absent', 7],
  ]);
});

test('an owner who has approved is not shown as asked until the last one has', () => {
  const lane = (party: string, state: string) => ({ party, state, reason: '', at: 0 });
  const lanes = [lane('bank-a', 'asked'), lane('bank-b', 'asked'), lane('bank-c', 'refused')];
  const states = (told: Record<string, unknown>, state?: string) =>
    withApproved(lanes, job(told, state)).map((one) => one.state);
  expect(states({ approved: ['bank-a', 'bank-c'] }, 'proposed')).toEqual(['approved', 'asked', 'refused']);
  expect(states({}, 'proposed')).toEqual(['asked', 'asked', 'refused']);
  expect(states({ approved: ['bank-a'] }, 'cancelled')).toEqual(['asked', 'asked', 'refused']);
});

test('a link that comes or goes concerns the unfinished jobs of its party', () => {
  expect(concerns(job({}), 'bank-c')).toBe(true);
  expect(concerns(job({}), 'enclave')).toBe(true);
  expect(concerns(job({}), 'bank-d')).toBe(false);
  expect(concerns(job({}, 'failed'), 'bank-c')).toBe(false);
  expect(concerns(undefined, 'bank-c')).toBe(false);
});

test('how long a step waits stands in the limits of some kinds, and beside them in others', () => {
  expect(patienceOf(job({}).spec)).toBe(90);
  expect(patienceOf({ patience_seconds: 5 })).toBe(5);
  expect(patienceOf({ steps: [] })).toBe(0);
});
