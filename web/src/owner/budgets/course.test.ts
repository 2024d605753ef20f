import { expect, test } from 'vitest';
import { paired, stepsOf, type Point } from './course';

function point(at: number, spent: number): Point {
  return { at, job: '', state: 'reserved', spent, committed: spent / 2, limit: 8 };
}

test('an event without a time stands with the one before it, and never after the next', () => {
  expect(stepsOf([point(0, 0), point(10, 1), point(0, 2), point(20, 3)]).times).toEqual([
    10_000, 10_000, 10_000, 20_000,
  ]);
  expect(stepsOf([point(0, 1)]).times).toEqual([0]);
});

test('a clock that was set back does not draw backwards', () => {
  expect(stepsOf([point(20, 1), point(10, 2)]).times).toEqual([20_000, 20_000]);
});

test('each figure stands at its own time', () => {
  const steps = stepsOf([point(1, 1), point(2, 3)]);
  expect(paired(steps.times, steps.spent)).toEqual([
    [1000, 1],
    [2000, 3],
  ]);
  expect(steps.committed).toEqual([0.5, 1.5]);
  expect(steps.limit).toEqual([8, 8]);
});
