import { expect, test } from 'vitest';
import { pathsOf, standingOf } from './stream';

test('each part makes old what shows it, once, and no other', () => {
  expect(pathsOf(['inbox'])).toContain('/api/inbox/{item}');
  expect(pathsOf(['inbox'])).not.toContain('/api/people');
  const both = pathsOf(['grants', 'jobs']);
  expect(both).toContain('/api/running');
  expect(both.length).toBe(new Set(both).size);
});

test('what is no list of parts is none', () => {
  expect(pathsOf(undefined)).toEqual([]);
  expect(pathsOf('inbox')).toEqual([]);
  expect(pathsOf(['nothing', 3, null])).toEqual([]);
});

test('an agent that is away leaves the count as it was', () => {
  const before = standingOf('now', { link: 'connected', waiting: 3 }, { link: '', waiting: null });
  expect(before).toEqual({ link: 'connected', waiting: 3 });
  expect(standingOf('away', { link: 'away' }, before)).toEqual({ link: 'away', waiting: 3 });
  expect(standingOf('changed', { link: 'down', waiting: 0 }, before)).toEqual({
    link: 'down',
    waiting: 0,
  });
});
