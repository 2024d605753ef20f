import { expect, test } from 'vitest';
import { partsOf } from './bar';

test('a bar ends at its limit, and says what is beyond', () => {
  expect(partsOf(2, 2, 8)).toEqual({ first: 25, second: 25, over: false });
  expect(partsOf(6, 4, 8)).toEqual({ first: 75, second: 25, over: true });
  expect(partsOf(9, 1, 8)).toEqual({ first: 100, second: 0, over: true });
});

test('a limit that is used up to its last digit is not over', () => {
  expect(partsOf(0.1, 0.2, 0.3).over).toBe(false);
});

test('without a limit nothing is drawn, and of nothing everything is too much', () => {
  expect(partsOf(3, 1, null)).toEqual({ first: 0, second: 0, over: false });
  expect(partsOf(0, 1, 0).over).toBe(true);
  expect(partsOf(0, 0, 0).over).toBe(false);
});
