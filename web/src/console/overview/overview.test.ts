import { expect, test } from 'vitest';
import type { Project } from '../project';
import { failureOf, roundOf, type JobSummary } from './jobs';
import { invitations } from './Waiting';

const project = (id: string, state: 'invited' | 'active' | 'left', closed: number | null = null) =>
  ({ id, closed, members: [{ organisation: 'bank-a', state, since: 0 }] }) as unknown as Project;

test('an invitation waits until it is answered or the project is closed', () => {
  const all = [project('p1', 'invited'), project('p2', 'active'), project('p3', 'invited', 9)];
  expect(invitations(all, 'bank-a').map((one) => one.id)).toEqual(['p1']);
  expect(invitations(all, 'bank-b')).toEqual([]);
});

test('figures of a job are shown only where they are figures', () => {
  const job = (progress: Record<string, number>) => ({ progress }) as JobSummary;
  expect(roundOf(job({ round: 3, rounds: 40 }))).toEqual({ done: 3, of: 40 });
  expect(roundOf(job({ round: 3 }))).toBeNull();
  expect(roundOf(job({ round: 0, rounds: 0 }))).toBeNull();
  const failed = { error: { code: 'party_silent', message: 'bank-b is silent.', hint: 3 } };
  expect(failureOf(failed as unknown as JobSummary)).toEqual({
    code: 'party_silent',
    message: 'bank-b is silent.',
    hint: '',
  });
});
