import { expect, test } from 'vitest';
import { dropsOf, eventOf, lanesOf, merged, plannedOf, roundsOf, type JobEvent } from './events';

function event(id: number, kind: string, data: Record<string, unknown>): JobEvent {
  return { id, kind, at: 1000 + id, data };
}

test('no event counts twice, whether the stream or the history brought it', () => {
  const known = [event(1, 'state', {}), event(3, 'round', {})];
  const all = merged(known, [event(3, 'round', {}), event(2, 'party', {}), event(4, 'done', {})]);
  expect(all.map((one) => one.id)).toEqual([1, 2, 3, 4]);
  expect(merged(known, [event(4, 'done', {})]).map((one) => one.id)).toEqual([1, 3, 4]);
});

test('what is no event is left out', () => {
  expect(eventOf(null)).toBeNull();
  expect(eventOf({ id: 'x', kind: 'round' })).toBeNull();
  expect(eventOf({ id: 1, kind: 'round', data: 3 })).toEqual({
    id: 1,
    kind: 'round',
    at: 0,
    data: {},
  });
});

test('a round that came again counts as it came last; only finite figures are drawn', () => {
  const events = [
    event(1, 'round', { round: 1, rounds: 3, loss: 0.9, seconds: 2 }),
    event(2, 'round', { round: 2, rounds: 3, loss: Number.NaN, auc: 0.7 }),
    event(3, 'round', { round: 1, rounds: 4, loss: 0.8, survivors: 3 }),
  ];
  expect(roundsOf(events)).toEqual([
    { round: 1, figures: { loss: 0.8 } },
    { round: 2, figures: { auc: 0.7 } },
  ]);
  expect(plannedOf(events)).toBe(4);
});

test('a lane says where a party is, and why it is out', () => {
  const lost = { party: 'c', round: 2, stage: 'upload', code: 'silent', reason: 'no progress' };
  const refusals = [
    { party: 'b', refused: true, code: 'consent_refused', reason: 'no' },
    { party: 'e', refused: false, code: 'party_silent', reason: 'It was away.' },
  ];
  const events = [
    event(1, 'party', { party: 'a', state: 'approved' }),
    event(2, 'error', { details: { refusals } }),
    event(3, 'dropouts', { dropouts: [lost, null] }),
    event(4, 'waiting', { waiting: [{ party: 'a', message: 'a person decides', since: 7 }] }),
    event(5, 'party', { party: 'stranger', state: 'approved' }),
  ];
  expect(lanesOf(['a', 'b', 'c', 'd', 'e'], events)).toEqual([
    { party: 'a', state: 'waits', reason: 'a person decides', at: 7 },
    { party: 'b', state: 'refused', reason: 'no', at: 1002 },
    { party: 'c', state: 'out', reason: 'no progress', at: 1003 },
    { party: 'd', state: 'asked', reason: '', at: 0 },
    { party: 'e', state: 'silent', reason: 'It was away.', at: 1002 },
  ]);
  expect(dropsOf(events)).toEqual([lost]);
});
