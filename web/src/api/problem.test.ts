import { expect, test } from 'vitest';
import { asProblem, problemOf, unreachable } from './problem';

function refused(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status, headers });
}

test('a problem of the server is read whole', async () => {
  const body = JSON.stringify({
    code: 'not_found',
    detail: 'There is no job.',
    title: 'Not Found',
    hint: 'List them.',
    details: { noun: 'job' },
  });
  const problem = await problemOf(refused(404, body, { 'x-request-id': 'abcdefgh' }));
  expect(problem).toMatchObject({
    status: 404,
    code: 'not_found',
    message: 'There is no job.',
    hint: 'List them.',
    details: { noun: 'job' },
    request: 'abcdefgh',
    sessionEnded: false,
  });
});

test('what a proxy answers is a problem too', async () => {
  for (const body of ['<h1>Bad gateway</h1>', '', 'null', '[1]']) {
    expect(await problemOf(refused(502, body))).toMatchObject({ code: 'http_502', message: '' });
  }
});

test('only an ended session leads to the login: a wrong password does not', async () => {
  const of = (code: string, status = 401) => problemOf(refused(status, JSON.stringify({ code })));
  expect((await of('session_expired')).sessionEnded).toBe(true);
  expect((await of('unauthenticated')).sessionEnded).toBe(true);
  expect((await of('bad_credentials')).sessionEnded).toBe(false);
  expect((await of('second_factor_required')).sessionEnded).toBe(false);
  expect((await of('session_expired', 403)).sessionEnded).toBe(false);
});

test('whatever was thrown is a problem', () => {
  const problem = unreachable();
  expect(asProblem(problem)).toBe(problem);
  expect(problem.unreachable).toBe(true);
  expect(asProblem(new TypeError('x is not a function'))).toMatchObject({
    code: 'defect',
    message: 'x is not a function',
  });
  expect(asProblem('gone').code).toBe('defect');
});
