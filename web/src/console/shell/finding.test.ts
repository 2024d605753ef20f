import { expect, test } from 'vitest';
import { byId, matching, type Found } from './finding';

const ALL: Found[] = [
  { key: 'job_1', name: 'Monthly income', section: 'jobs', to: '/jobs/job_1' },
  { key: 'prj_1', name: 'Income study', section: 'projects', to: '/projects/prj_1' },
  { key: 'bank-a', name: 'First bank', section: 'organisations', to: '/organisations/bank-a' },
];

test('names that begin with the text come first; ids count too', () => {
  expect(matching(ALL, 'income').map((one) => one.key)).toEqual(['prj_1', 'job_1']);
  expect(matching(ALL, ' BANK-A ').map((one) => one.key)).toEqual(['bank-a']);
  expect(matching(ALL, '   ')).toEqual([]);
});

test('an id leads to its page, whether or not it was loaded', () => {
  expect(byId(' job_01jf2k ')[0]?.to).toBe('/jobs/job_01jf2k');
  for (const none of ['job_', 'xyz_01jf2k', 'job_../x', 'job_A1B2']) expect(byId(none)).toEqual([]);
});
