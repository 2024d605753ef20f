import { expect, test } from 'vitest';
import { shift } from './inview';

const SEEN = { width: 480, height: 520 };
const STEP = { x: 0, y: 0, width: 220, height: 190 };

test('a step that is seen whole moves nothing', () => {
  expect(shift(STEP, { x: 10, y: 10, zoom: 1 }, SEEN)).toBeNull();
  expect(shift({ ...STEP, x: 600, y: 700 }, { x: 0, y: 0, zoom: 0.5 }, SEEN)).toBeNull();
});

test('a step below, at the right, above or at the left is moved in, and no further', () => {
  const view = { x: 0, y: 0, zoom: 1 };
  expect(shift({ ...STEP, y: 440 }, view, SEEN)).toEqual({ x: 0, y: 520 - 12 - 190 - 440 });
  expect(shift({ ...STEP, x: 300 }, view, SEEN)).toEqual({ x: 480 - 12 - 220 - 300, y: 0 });
  expect(shift({ ...STEP, x: -5, y: -900 }, view, SEEN)).toEqual({ x: 17, y: 912 });
  const zoomed = { x: -100, y: 0, zoom: 2 };
  expect(shift({ ...STEP, width: 220, x: 100 }, zoomed, SEEN)).toEqual({ x: 480 - 12 - 440 - 100, y: 0 });
});

test('a step that is larger than what is seen shows where it begins', () => {
  expect(shift({ ...STEP, y: 300, height: 900 }, { x: 0, y: 0, zoom: 1 }, SEEN)).toEqual({ x: 0, y: -288 });
});
