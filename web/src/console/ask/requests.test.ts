import { expect, test } from 'vitest';
import type { Dataset } from '../data/columns';
import { declaredKey, keyColumns, overlapMissing, overlapRequest, type OverlapValues } from './overlap';
import { answerName, measurable, sharedColumns, statisticsMissing, statisticsRequest } from './statistics';

function dataset(organisation: string, columns: [string, 'number' | 'category' | 'text'][]): Dataset {
  const declared = columns.map(([name, type]) => ({
    name, type, categories: [], sensitive: false, clip: false,
  }));
  return {
    id: `dst_${organisation}`, organisation, name: organisation, title: '', columns: declared,
    rows: '1k', commitment: '', created: 0,
  } as Dataset;
}

const A = dataset('bank-a', [['age', 'number'], ['sex', 'category'], ['zip', 'text']]);
const B = dataset('bank-b', [['age', 'number'], ['sex', 'category'], ['zip', 'number']]);
const ASKED = {
  project: 'prj_1', name: ' ages ', purpose: 'research', datasets: [A.id, B.id], delta: 1e-6,
  measure: 'mean', columns: ['age'], limit: 'epsilon', epsilon: 1, noise: 2,
} as const;

test('only what all owners have can be asked for, each column by what it can be measured with', () => {
  const columns = sharedColumns([A, B]);
  expect(columns.map((one) => one.name)).toEqual(['age', 'sex']);
  expect(measurable(columns, 'mean')).toEqual(['age']);
  expect(measurable(columns, 'histogram')).toEqual(['age', 'sex']);
  expect(sharedColumns([])).toEqual([]);
});

test('every answer has a name of its own that the centre accepts', () => {
  expect(answerName(['mean', 'Age (years)'], [])).toBe('mean-age-years');
  expect(answerName(['mean', 'Age (years)'], ['mean-age-years'])).toBe('mean-age-years-2');
  expect(answerName(['年龄'], [])).toBe('answer');
  expect(answerName(['x'.repeat(200)], []).length).toBeLessThan(63);
});

test('a request is made only of what was said', () => {
  const made = statisticsRequest({ ...ASKED, datasets: [...ASKED.datasets], columns: ['age', 'Age'], by: 'sex' });
  expect(made?.name).toBe('ages');
  expect(made?.queries.map((one) => [one.name, one.column, one.by])).toEqual([
    ['mean-age-by-sex', 'age', 'sex'],
    ['mean-age-by-sex-2', 'Age', 'sex'],
  ]);
  expect(made?.privacy).toMatchObject({ epsilon: 1, delta: 1e-6 });
  expect(made?.privacy).not.toHaveProperty('noise_multiplier');
});

test('noise instead of a cost, a count without a column, and nothing while something is missing', () => {
  const some = { ...ASKED, datasets: [A.id], columns: [] };
  expect(statisticsRequest({ ...some, measure: 'count', limit: 'noise' })?.privacy).toMatchObject({
    noise_multiplier: 2,
  });
  expect(statisticsRequest(some)).toBeNull();
  expect(statisticsRequest({ ...some, columns: ['age'], epsilon: null })).toBeNull();
  expect(statisticsRequest({ ...some, columns: ['age'], purpose: ' ' })).toBeNull();
});

test('a key is text or a category, and the one that its owner declared is offered first', () => {
  expect(keyColumns(A)).toEqual(['sex', 'zip']);
  expect(keyColumns(undefined)).toEqual([]);
  expect(declaredKey({ ...A, key: 'zip' })).toBe('zip');
  expect(declaredKey({ ...A, key: 'customer' })).toBeUndefined();
  expect(declaredKey(A)).toBeUndefined();
});

const SHARED: OverlapValues = {
  project: 'prj_1', name: 'overlap', purpose: 'research', first: A.id, second: B.id,
  rule: 'phone', firstKey: 'zip', secondKey: 'age', tells: 'size', learns: 'bank-b',
};

test('the size goes to one owner, rows to one or both', () => {
  expect(overlapRequest(SHARED, [A, B])).toMatchObject({ learns: 'size', receiver: 'bank-b' });
  const rows = overlapRequest({ ...SHARED, tells: 'rows', learns: 'all' }, [A, B]);
  expect(rows).toMatchObject({ learns: 'all', join: 'inner' });
  expect(rows).not.toHaveProperty('receiver');
  expect(rows).not.toHaveProperty('tells_size');
  expect(overlapRequest({ ...SHARED, shown: true }, [A, B])).toMatchObject({ tells_size: true });
  expect(rows?.columns).toEqual({
    'bank-a': { key: ['zip'], granted: [] },
    'bank-b': { key: ['age'], granted: [] },
  });
  expect(overlapRequest({ ...SHARED, learns: 'all' }, [A, B])).toBeNull();
  expect(overlapRequest({ ...SHARED, second: 'dst_gone' }, [A, B])).toBeNull();
});

test('whoever cannot submit is told which fields lack', () => {
  const some = { ...ASKED, datasets: [A.id], columns: [] };
  expect(statisticsMissing({ ...some, columns: ['age'] })).toEqual([]);
  expect(statisticsMissing({ ...some, purpose: ' ' })).toEqual(['purpose', 'columns']);
  expect(statisticsMissing({ ...some, measure: 'count', limit: 'noise', noise: null })).toEqual(['noise']);
  const all = ['project', 'name', 'purpose', 'first', 'second', 'key.first', 'key.second', 'rule', 'who'];
  expect(overlapMissing({}, [A, B])).toEqual(all);
});
