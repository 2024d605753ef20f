import { expect, test } from 'vitest';
import { bySteps } from './bysteps';
import { alike, headOf, titleOf } from './titles';

test('who sees what stands under its step, what steps have in common after them', () => {
  const rows = [
    { who: 'operator', steps: ['prepare', 'train'] },
    { who: 'bank-a', steps: ['train'] },
    { who: 'bank-a', steps: ['prepare'] },
    { who: 'bank-b', steps: ['train'] },
  ];
  expect(bySteps(rows).map((one) => [one.group, one.who, one.span])).toEqual([
    ['prepare', 'bank-a', 1],
    ['train', 'bank-a', 2],
    ['train', 'bank-b', 0],
    ['prepare, train', 'operator', 1],
  ]);
  expect(new Set(bySteps(rows).map((one) => one.key)).size).toBe(4);
});

test('steps stand in the order in which they run, whatever was said of which first', () => {
  const rows = [
    { who: 'network', steps: ['prepare', 'test'] },
    { who: 'a', steps: ['train'] },
    { who: 'b', steps: ['test'] },
    { who: 'readers', steps: ['prepare', 'train', 'test'] },
  ];
  expect(bySteps(rows).map((one) => one.group)).toEqual([
    'train',
    'test',
    'prepare, test',
    'prepare, train, test',
  ]);
});

test('a job without steps has its rows as they came', () => {
  const rows = [{ who: 'b' }, { who: 'a', steps: [] }];
  expect(bySteps(rows).map((one) => [one.group, one.who])).toEqual([
    ['', 'b'],
    ['', 'a'],
  ]);
});

test('a request is called by its name and its purpose, and by its id without both', () => {
  const named = { name: 'risk', purpose: 'credit scoring', job: 'job_1', id: 'a' };
  expect(titleOf(named)).toBe('risk · credit scoring');
  expect(titleOf({ ...named, name: '' })).toBe('credit scoring');
  expect(titleOf({ ...named, name: 'x', purpose: 'x' })).toBe('x');
  expect(titleOf({ ...named, name: '', purpose: '' })).toBe('job_1');
});

test('the page of a request is headed by its job, not by what it is for', () => {
  expect(headOf({ name: 'risk', job: 'job_1', id: 'a' }, 'pipeline')).toBe('risk · pipeline');
  expect(headOf({ name: '', job: 'job_1', id: 'a' }, 'pipeline')).toBe('job_1 · pipeline');
  expect(headOf({ name: '', job: '', id: 'a' }, '')).toBe('a');
});

test('requests that are called alike are told apart', () => {
  const one = { name: 'risk', purpose: 'credit scoring', job: 'job_1', id: 'a' };
  const rows = [one, { ...one, id: 'b', job: 'job_2' }, { ...one, name: 'other', id: 'c' }];
  expect([...alike(rows)]).toEqual(['a', 'b']);
});
