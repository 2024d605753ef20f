import { expect, test } from 'vitest';
import { loginFor, wayBack } from './session';

test('a login leads back to a path of this console only', () => {
  expect(wayBack('/jobs/job_1?tab=report')).toBe('/jobs/job_1?tab=report');
  const foreign = [
    'https://evil.example', '//evil.example', '/\\evil.example', 'javascript:1', '',
    '/\t/evil.example', '/\n/evil.example', '/\r\\evil.example', '/a\\b', '/a\u0000',
  ];
  for (const one of [...foreign, null]) expect(wayBack(one), String(one)).toBe('/');
  expect(wayBack('/login?back=%2Flogin'), 'no circle').toBe('/');
});

test('the address of the login says where one wanted to go', () => {
  expect(loginFor('/')).toBe('/login');
  expect(loginFor('/a?b=c&d')).toBe('/login?back=%2Fa%3Fb%3Dc%26d');
});
