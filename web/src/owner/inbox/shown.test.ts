import { expect, test } from 'vitest';
import type { Schemas } from '../api';
import { wordOf } from './Happened';
import { differs, shownOf } from './shown';

type Decision = Schemas['Decision'];

function decision(change: Partial<Decision> = {}, state = 'waiting'): Decision {
  const summary = { id: 'a', state } as Decision['summary'];
  const facts = { request: null, digest: '', decided: 0, asks: true, longest_question: 9 };
  return { summary, seen: '1', decides: true, mine: false, ...facts, ...change };
}

test('what changed while somebody read it is not put in its place', () => {
  const read = decision();
  expect(shownOf(read, decision({ seen: '2' }))).toBe(read);
  expect(shownOf(read, decision({ mine: true }))).toBe(read);
  expect(shownOf(read, decision({ decides: false }))).toBe(read);
  expect(shownOf(read, decision({}, 'withdrawn'))).toBe(read);
});

test('another page of the same difference is shown at once', () => {
  const page = decision({ digest: 'same request' });
  expect(differs(decision(), page)).toBe(false);
  expect(shownOf(decision(), page)).toBe(page);
});

test('each outcome has its word', () => {
  const done = { way: 'approve' as const, signed: false, second: false, refused: '' };
  expect(wordOf(done)).toBe('later');
  expect(wordOf({ ...done, signed: true })).toBe('signed');
  expect(wordOf({ ...done, second: true })).toBe('second');
  expect(wordOf({ ...done, way: 'reject' })).toBe('reject');
});
