import { expect, test } from 'vitest';
import { inOrder, valuesOf, type Column } from './columns';

function column(name: string, more: Partial<Column>): Column {
  return { name, type: 'number', categories: [], sensitive: false, clip: false, ...more };
}

test('bounds, categories and shapes are told in one line', () => {
  expect(valuesOf(column('age', { bounds: [18, 90] }), 'en')).toBe('18 … 90');
  const many = Array.from({ length: 8 }, (_, at) => `c${at}`);
  expect(valuesOf(column('job', { type: 'category', categories: many }), 'en')).toBe(
    'c0, c1, c2, c3, c4, c5, … (+2)',
  );
  expect(valuesOf(column('scan', { type: 'image', shape: [28, 28, 1], dtype: 'uint8' }), 'en')).toBe(
    '28 × 28 × 1 uint8',
  );
  expect(valuesOf(column('note', { type: 'text' }), 'en')).toBe('');
});

test('sensitive columns come first, the others keep their order', () => {
  const names = inOrder([
    column('a', {}),
    column('b', { sensitive: true }),
    column('c', {}),
  ]).map((one) => one.name);
  expect(names).toEqual(['b', 'a', 'c']);
});
