import { expect, test } from 'vitest';
import { unmoved } from './queue';

const ITEMS = [
  { job: 'job_runs', started: true },
  { job: 'job_waits', started: false },
];

test('a job that runs in its place, or never waited, leaves the queue as it is', () => {
  expect(unmoved(ITEMS, { id: 'job_runs', state: 'running' })).toBe(true);
  expect(unmoved(ITEMS, { id: 'job_new', state: 'proposed' })).toBe(true);
  expect(unmoved(ITEMS, { id: 'job_gone', state: 'cancelled' })).toBe(true);
});

test('one that ends, starts, waits or comes in moves it', () => {
  expect(unmoved(ITEMS, { id: 'job_runs', state: 'succeeded' })).toBe(false);
  expect(unmoved(ITEMS, { id: 'job_waits', state: 'running' })).toBe(false);
  expect(unmoved(ITEMS, { id: 'job_waits', state: 'approved' })).toBe(false);
  expect(unmoved(ITEMS, { id: 'job_new', state: 'approved' })).toBe(false);
  expect(unmoved(undefined, { id: 'job_runs', state: 'running' })).toBe(false);
  expect(unmoved(ITEMS, undefined)).toBe(false);
});
