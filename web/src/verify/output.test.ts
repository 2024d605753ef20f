import { expect, test } from 'vitest';
import type { Bundle, Entry } from './bundle';
import type { Json } from './json';
import { namedBy } from './output';

const MODEL = 'ab'.repeat(32);
const END: Json = new Map<string, Json>([
  ['outcome', 'succeeded'], ['count', 1], ['last', 'cd'.repeat(32)], ['model', MODEL],
]);
type Said = { author?: string; job?: string; kind?: string; opens?: boolean };

function bundle(...said: Said[]): Bundle {
  const entries = said.map(({ author = 'bank-a', job = 'job_1', kind = 'finished', opens = true }) => ({
    opened: true, opens, document: END, signed: { leaf: { author, job, kind } },
  }));
  return { job: 'job_1', roster: ['bank-a', 'bank-b'], entries: entries as unknown as Entry[] } as unknown as Bundle;
}

test('the ends that parties signed name the model', () => {
  expect(namedBy(bundle({ author: 'bank-b' }, {}, {}), MODEL)).toEqual(['bank-a', 'bank-b']);
  expect(namedBy(bundle({}), 'cd'.repeat(32))).toEqual([]);
});

test('a document like that of an end names nothing, wherever else it stands', () => {
  const elsewhere: Said[] = [
    { job: 'job_2' }, { job: '' }, { kind: 'step' }, { author: 'bank-c' }, { author: 'server' },
    { author: 'enclave' }, { opens: false },
  ];
  for (const one of elsewhere) expect(namedBy(bundle(one), MODEL), JSON.stringify(one)).toEqual([]);
});
