import { expect, test } from 'vitest';
import { failureOf, ofProject, roundOf, withRow, type JobSummary, type Overview } from './overview';
import { mineOf } from './Waiting';

const job = (changes: Partial<JobSummary>) =>
  ({ id: 'job_1', state: 'running', project: 'prj_1', ...changes }) as JobSummary;
const overview = (...running: JobSummary[]) => ({ running, unread: 3 }) as unknown as Overview;

test('a newer row of a running job takes the place of the old one', () => {
  const shown = overview(job({ id: 'job_0' }), job({ progress: { round: 1 } }));
  const newer = withRow(shown, job({ progress: { round: 2 } }));
  expect(newer?.running.map((one) => one.progress?.['round'])).toEqual([undefined, 2]);
  expect(newer?.unread).toBe(3);
  expect(shown.running[1]?.progress?.['round'], 'what was shown is not changed').toBe(1);
});

test('more than a row has changed where a job begins, ends or pauses', () => {
  const shown = overview(job({}));
  for (const state of ['succeeded', 'failed', 'paused'] as const) {
    expect(withRow(shown, job({ state }))).toBeNull();
  }
  expect(withRow(shown, job({ id: 'job_2' }))).toBeNull();
});

test('figures of a job are shown only where they are figures', () => {
  const of = (progress: Record<string, number>) => roundOf(job({ progress }));
  expect(of({ round: 3, rounds: 40 })).toEqual({ done: 3, of: 40 });
  expect(of({ round: 3 })).toBeNull();
  expect(of({ round: 0, rounds: 0 })).toBeNull();
  const failed = job({ error: { code: 'party_silent', message: 'bank-b is silent.', hint: 3 } });
  expect(failureOf(failed)).toEqual({
    code: 'party_silent',
    message: 'bank-b is silent.',
    hint: '',
  });
});

test('the project of the header chooses jobs; without one all are shown', () => {
  expect([job({}), job({ project: 'prj_2' })].filter(ofProject('prj_1'))).toHaveLength(1);
  expect([job({}), job({ project: 'prj_2' })].filter(ofProject(''))).toHaveLength(2);
});

test('what waits for the caller is counted over all kinds', () => {
  const waiting = {
    approvals: [{ mine: true }, { mine: false }],
    questions: [{ mine: true }],
    invitations: [{ mine: false }],
    charter: { mine: true },
  };
  expect(mineOf(waiting as unknown as Overview['waiting'])).toBe(3);
});
