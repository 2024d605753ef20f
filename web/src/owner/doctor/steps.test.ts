import { expect, test } from 'vitest';
import { commandIn, firstBroken, othersOf, stepsOf, type Check } from './steps';

function check(name: string, ok = true): Check {
  return { check: name, ok, message: '', hint: '', code: ok ? '' : 'broken' };
}

test('what was left out is neither in order nor broken', () => {
  const steps = stepsOf([check('name'), check('connection', false), check('clock')]);
  expect(steps.map((one) => one.state)).toEqual([
    'ok',
    'failed',
    'skipped',
    'skipped',
    'ok',
    'skipped',
    'skipped',
    'skipped',
  ]);
  expect(firstBroken(steps)).toBe(1);
  expect(firstBroken(stepsOf([check('name')]))).toBe(-1);
});

test('every check is shown once, what failed first', () => {
  const checks = [check('settings'), check('name'), check('disk', false)];
  expect(othersOf(checks).map((one) => one.check)).toEqual(['disk', 'settings']);
});

test('the command of a hint is copied without the full stop', () => {
  expect(commandIn('Enrol first: secureflow agent enroll DIR --server URL.')).toBe(
    'secureflow agent enroll DIR --server URL',
  );
  expect(commandIn('请先运行 secureflow agent reload。')).toBe('secureflow agent reload');
  expect(commandIn('Ask who runs the centre.')).toBe('');
});
