import { expect, test } from 'vitest';
import { jobOf, judged, ownCharter, ownLeaves, readBundle, Unfit } from './own';
import { parseJson } from '../../verify/json';

const json = (text: string) => parseJson(new TextEncoder().encode(text));

test('without a pinned charter there is nothing to hold a bundle to, and it is not verified', async () => {
  const own = ownCharter('{"pinned": null, "history": []}');
  expect(own.pinned).toBeNull();
  const verdict = await judged(json('{"job": "job_x"}'), own, null, '');
  expect(verdict.status).toBe('broken');
});

test('a charter that is none is refused, not taken for none', () => {
  expect(() => ownCharter('{"pinned": {"charter": 3, "signatures": {}}, "history": []}')).toThrow();
});

test('no own entries are none to compare with', () => {
  expect(ownLeaves('{"leaves": []}')).toBeNull();
  expect(ownLeaves('{}')).toBeNull();
  expect(ownLeaves('{"leaves": [{"leaf": 1}]}')).toHaveLength(1);
});

test('only an id that a job can have is asked for', () => {
  expect(jobOf(json('{"job": "job_1"}'))).toBe('job_1');
  expect(jobOf(json('{"job": "../charter"}'))).toBe('');
  expect(jobOf(json('{"job": 3}'))).toBe('');
  expect(jobOf(json('[]'))).toBe('');
});

test('a file that is no bundle is said to be none', async () => {
  await expect(readBundle(new Blob(['{"a": 1}']))).rejects.toBeInstanceOf(Unfit);
  await expect(readBundle(new Blob(['no json']))).rejects.toThrow();
});

test('a digest that is none is said to be none', () => {
  expect(() => judged(null, { pinned: null, words: '', digits: '' }, null, 'abc')).toThrow(Unfit);
});
