import { expect, test } from 'vitest';
import { linesIn, numbered, placeOf } from './lines';

test('every line has a number, the empty one at the end too', () => {
  expect(numbered('')).toBe('1');
  expect(numbered('a\nb')).toBe('1\n2');
  expect(linesIn('a\n')).toBe(2);
});

test('the place of the cursor is told as editors tell it', () => {
  expect(placeOf('ab\ncd', 0)).toEqual({ line: 1, column: 1 });
  expect(placeOf('ab\ncd', 4)).toEqual({ line: 2, column: 2 });
  expect(placeOf('ab\n', 3)).toEqual({ line: 2, column: 1 });
});
