import { expect, test } from 'vitest';
import { firstBroken } from './LinkSteps';

test('the first failure is looked at, else the first warning, else nothing', () => {
  expect(firstBroken([{ state: 'ok' }, { state: 'warning' }, { state: 'failed' }])).toBe(2);
  expect(firstBroken([{ state: 'ok' }, { state: 'unknown' }, { state: 'warning' }])).toBe(2);
  expect(firstBroken([{ state: 'ok' }])).toBe(-1);
});
