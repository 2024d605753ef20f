import { expect, test } from 'vitest';
import { partsOf, withWaiting } from './parts';

test('each part is shown as it was told last, and keeps what it was called', () => {
  const sets = { 'plan.learning_rate': 0.1, 'model.hidden': [16] };
  const rows = partsOf([
    { id: 1, kind: 'point', at: 5, data: { point: 2, sets, job: 'job_b', state: 'started' } },
    { id: 2, kind: 'point', at: 6, data: { point: 1, state: 'started' } },
    { id: 3, kind: 'point', at: 7, data: { point: 2, state: 'succeeded', metrics: { auc: 0.8, name: 'x' } } },
    { id: 4, kind: 'round', at: 8, data: { round: 1 } },
    { id: 5, kind: 'point', at: 9, data: { point: 1, state: 'failed', error: { message: 'away' } } },
  ]);
  expect(rows.map((one) => [one.number, one.state, one.job, one.error])).toEqual([
    [1, 'failed', '', 'away'],
    [2, 'succeeded', 'job_b', ''],
  ]);
  expect(rows[1]?.label).toBe('plan.learning_rate = 0.1, model.hidden = [16]');
  expect(rows[1]?.metrics).toEqual({ auc: 0.8 });
});

test('steps of a pipeline are called by their names, each attempt a row', () => {
  const step = { step: 'train', place: 2, steps: 3, kind: 'training' };
  const rows = partsOf([
    { id: 1, kind: 'step', at: 5, data: { ...step, number: 4, attempt: 1, job: 'job_a', state: 'started' } },
    { id: 2, kind: 'step', at: 6, data: { ...step, number: 4, attempt: 1, state: 'failed', error: { message: 'away' } } },
    { id: 3, kind: 'step', at: 7, data: { ...step, number: 5, attempt: 2, job: 'job_b', state: 'started' } },
  ]);
  expect(rows.map((one) => one.place)).toEqual([2, 2]);
  expect(rows.map((one) => [one.number, one.label, one.state, one.job, one.error])).toEqual([
    [4, 'train', 'failed', 'job_a', 'away'],
    [5, 'train', 'started', 'job_b', ''],
  ]);
});

test('a step that was never started leads to no job', () => {
  const step = { step: 'test', place: 3, number: 7 };
  const rows = partsOf([
    { id: 1, kind: 'step', at: 5, data: { ...step, job: 'job_a', state: 'started' } },
    { id: 2, kind: 'step', at: 6, data: { ...step, job: '', state: 'failed', error: { message: 'revoked' } } },
  ]);
  expect(rows.map((one) => [one.state, one.job, one.error])).toEqual([['failed', '', 'revoked']]);
});

test('a job without parts has no rows', () => {
  expect(partsOf([{ id: 1, kind: 'state', at: 1, data: { state: 'running' } }])).toEqual([]);
});

test('steps of a pipeline that have not begun wait, in their order, and nothing of an ended one', () => {
  const rows = partsOf([
    { id: 1, kind: 'step', at: 5, data: { number: 1, place: 1, step: 'prepare', state: 'succeeded', rounds: 3 } },
    { id: 2, kind: 'step', at: 6, data: { number: 2, place: 2, step: 'train', state: 'started' } },
  ]);
  expect(rows.map((one) => one.rounds)).toEqual([3, 0]);
  const spec = { steps: [{ id: 'prepare' }, { id: 'train' }, { id: 'test' }, { id: 'last' }] };
  const job = { kind: 'pipeline', state: 'running', spec };
  const shown = withWaiting(rows, job);
  expect(shown.map((one) => [one.place, one.label, one.state])).toEqual([
    [1, 'prepare', 'succeeded'],
    [2, 'train', 'started'],
    [3, 'test', 'waits'],
    [4, 'last', 'waits'],
  ]);
  expect(new Set(shown.map((one) => one.number)).size).toBe(4);
  expect(withWaiting(rows, { ...job, state: 'failed' })).toEqual(rows);
  expect(withWaiting(rows, { ...job, kind: 'sweep' })).toEqual(rows);
});
