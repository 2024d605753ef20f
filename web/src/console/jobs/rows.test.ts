import { expect, test } from 'vitest';
import { replaced, type Pages, type Row } from './rows';

function row(id: string, state: Row['state'], updated: number): Row {
  const texts = { project: 'prj_1', organisation: 'bank-a', name: id, submitter: 'ada' };
  return { ...texts, id, state, updated, kind: 'training', digest: 'd', created: 1, error: null, progress: {} };
}

const PAGES: Pages = {
  pageParams: ['', 'c'],
  pages: [{ items: [row('job_a', 'running', 1)], next: 'c' }, { items: [row('job_b', 'running', 1)] }],
};

test('a row that only went on is put in its place', () => {
  const now = replaced(PAGES, row('job_b', 'running', 2));
  expect(now?.pages[1]?.items[0]?.updated).toBe(2);
  expect(now?.pages[0]).toEqual(PAGES.pages[0]);
});

test('a list is asked for again for a new job, for another state, and where nothing is there', () => {
  expect(replaced(PAGES, row('job_c', 'running', 2))).toBeNull();
  expect(replaced(PAGES, row('job_b', 'succeeded', 2))).toBeNull();
  expect(replaced(undefined, row('job_b', 'running', 2))).toBeNull();
});
