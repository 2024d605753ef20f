import { expect, test } from 'vitest';
import { alarmsOf, logDigest, makeOf, newestHeads, placesOf, saidOf, type Said } from './anchors';

const ORIGIN = 'ledger.example/one';
const LOG = logDigest(ORIGIN);
const HEAD = { origin: ORIGIN, size: 10, root: 'aa' };
const PLACE = 'evm:1337:0x5fbdb2315678afecb367f032d93f642f64180aa3';

function head(organisation: string, size: number, root: string, more: Partial<Said> = {}): Said {
  return {
    organisation, place: PLACE, kind: 'anchor', at: 1000, result: 'kept', transaction: 'ab',
    block: 3, digest: '', log: LOG, size, root, ...more,
  };
}

test('what stands for a log is what agents write at places', () => {
  // secureflow.engines.anchors.entries.log_digest("ledger.example/one").hex()
  expect(LOG).toBe('17e6b1ece77578fa01ad486542f122c3302ca1d2319745a72183ec88eba0cf52');
});

test('a statement is read, and what is not as it should be is left empty', () => {
  const body = {
    result: 'kept', transaction: 'ab', block: 7,
    entry: { kind: 'anchor', log: LOG, size: 4, root: 'cc' },
  };
  const one = { organisation: 'bank-a', place: PLACE, kind: 'anchor', size: 4, at: 5 };
  const read = saidOf({ ...one, statement: { body } });
  expect([read.log, read.size, read.root, read.transaction, read.block]).toEqual(
    [LOG, 4, 'cc', 'ab', 7],
  );
  const odd = saidOf({ ...one, statement: { body: { block: -1, entry: { size: 'many', log: 3 } } } });
  expect([odd.log, odd.size, odd.root, odd.transaction, odd.block]).toEqual(['', 0, '', '', 0]);
  const deed = saidOf({ ...one, kind: 'spend', statement: { body } });
  expect([deed.log, deed.size]).toEqual(['', 0]);
});

test('of each member and place the newest head counts, and says how far it is behind', () => {
  const said = [
    head('bank-b', 10, 'aa', { at: 9000 }),
    head('bank-a', 6, 'bb', { at: 1000 }),
    head('bank-a', 8, 'cc', { at: 9000 }),
    head('bank-a', 3, 'dd', { log: 'other', at: 9000 }),
    head('bank-a', 0, '', { log: '', kind: 'spend' }),
  ];
  const found = newestHeads(said, HEAD, 9100);
  expect(found.map((one) => [one.organisation, one.size, one.behind, one.late])).toEqual([
    ['bank-a', 8, 2, false],
    ['bank-b', 10, 0, false],
    ['bank-a', 3, null, false],
  ]);
  expect(newestHeads([said[2]!], HEAD, 9000 + 3601).map((one) => one.late)).toEqual([true]);
  expect(newestHeads([said[0]!], HEAD, 99_999).map((one) => one.late)).toEqual([false]);
  expect(newestHeads(said, null, 99_999).every((one) => one.behind === null)).toBe(true);
});

test('a place is one line, with all who anchor there', () => {
  const said = [
    head('bank-b', 9, 'aa', { at: 7 }),
    head('bank-a', 4, 'bb', { at: 8 }),
    head('bank-a', 5, 'bb', { place: 'file:ab' }),
  ];
  expect(placesOf(said)).toEqual([
    { place: PLACE, make: 'evm', organisations: ['bank-a', 'bank-b'], size: 9, at: 8 },
    { place: 'file:ab', make: 'file', organisations: ['bank-a'], size: 5, at: 1000 },
  ]);
  expect(makeOf('fabric:channel:code')).toBe('fabric');
});

test('two heads of one size are an alarm that names both who signed', () => {
  const fine = [head('bank-a', 5, 'aa'), head('bank-b', 5, 'aa'), head('bank-b', 6, 'bb')];
  expect(alarmsOf(fine, HEAD)).toEqual([]);
  const apart = alarmsOf([...fine, head('bank-c', 5, 'ff'), head('bank-c', 5, 'ff')], HEAD);
  expect(apart.map((one) => [one.kind, one.size, one.who, one.other])).toEqual([
    ['apart', 5, 'bank-a', 'bank-c'],
  ]);
  expect(alarmsOf([head('bank-a', 5, 'aa'), head('bank-b', 5, 'bb', { log: 'other' })], HEAD))
    .toEqual([]);
});

test('a log that is shorter than what was anchored, or other than it, is an alarm', () => {
  expect(alarmsOf([head('bank-a', 11, 'aa')], HEAD).map((one) => one.kind)).toEqual(['ahead']);
  expect(alarmsOf([head('bank-a', 10, 'bb')], HEAD).map((one) => one.kind)).toEqual(['differs']);
  expect(alarmsOf([head('bank-a', 10, 'aa')], HEAD)).toEqual([]);
  expect(alarmsOf([head('bank-a', 11, 'aa')], null)).toEqual([]);
});

test('a deed that a place kept as a contradiction is an alarm', () => {
  const said = [head('bank-a', 0, '', { kind: 'registerJob', log: '', result: 'fork' })];
  expect(alarmsOf(said, HEAD).map((one) => [one.kind, one.who, one.deed])).toEqual([
    ['contradiction', 'bank-a', 'registerJob'],
  ]);
});
