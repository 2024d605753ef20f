import { expect, test } from 'vitest';
import { parseJson } from '../../verify/json';
import { utf8 } from '../../verify/bytes';
import { spelled } from './plain';
import { queryOf, says, wantedOf } from './wanted';

test('what an address asks for is what the centre is asked, but for the text', () => {
  const search = new URLSearchParams('kind=Job.%20&author=bank-a&since=12&until=-3&text=%20x');
  const wanted = wantedOf(search);
  expect(wanted).toMatchObject({ kind: 'job.', author: 'bank-a', since: 12, until: 0, text: 'x' });
  expect(queryOf(wanted)).toEqual({ kind: 'job.', author: 'bank-a', since: 12 });
});

test('a text is sought in everything that an entry says', () => {
  const entry = { index: 7, hash: 'ab', kind: 'job.proposed', document: { name: 'Income Model' } };
  expect(says(entry, 'income')).toBe(true);
  expect(says(entry, 'PROPOSED')).toBe(true);
  expect(says(entry, 'bank-b')).toBe(false);
});

test('a document is written so that nothing in it is unseen', () => {
  const value = parseJson(utf8('{"a": [1, 0.5, "x\u202ey"], "b": {}}'));
  expect(spelled(value)).toBe('{\n  "a": [\n    1,\n    0.5,\n    "x\\u202ey"\n  ],\n  "b": {}\n}');
});
