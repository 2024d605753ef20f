import { expect, test } from 'vitest';
import { beginning, onlyOnes } from './only';

const project = (id: string, closed?: number) => ({ id, purpose: `of ${id}`, closed: closed ?? null });

test('a form begins with the chosen project, else with the only open one', () => {
  expect(beginning([project('a'), project('b')], 'b')).toEqual({ project: 'b', purpose: 'of b' });
  expect(beginning([project('a'), project('b')], '')).toEqual({});
  expect(beginning([project('a', 1), project('b')], '')).toEqual({ project: 'b', purpose: 'of b' });
  expect(beginning([], '')).toEqual({});
});

test('the only dataset of each organisation is chosen, and none where there are several', () => {
  const of = (organisation: string, id: string) => ({ organisation, id });
  expect(onlyOnes([of('a', '1'), of('b', '2'), of('b', '3'), of('c', '4')])).toEqual(['1', '4']);
});
