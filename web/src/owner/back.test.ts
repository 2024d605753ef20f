import { QueryClient } from '@tanstack/react-query';
import { expect, test } from 'vitest';
import { Problem, unreachable } from '../api/problem';
import { againAfter, agentIsBack, forgottenOnReturn } from './back';

const problem = (code: string) => new Problem({ status: 503, code, message: '' });

test('a deed that failed for an agent that was away is forgotten when it is back, and no other', () => {
  const forgotten: string[] = [];
  const ends = ['agent_not_running', 'request_changed', 'agent_silent'].map((code) =>
    forgottenOnReturn(problem(code), () => forgotten.push(code)),
  );
  forgottenOnReturn(null, () => forgotten.push('nothing failed'));
  agentIsBack(new QueryClient());
  expect(forgotten).toEqual(['agent_not_running']);
  for (const end of ends) end();
  agentIsBack(new QueryClient());
  expect(forgotten, 'whoever left the page is not called').toHaveLength(1);
});

test('what was asked while it was away is asked again', async () => {
  const queries = new QueryClient();
  queries.setQueryData(['get', '/api/inbox'], 'before');
  agentIsBack(queries);
  expect(queries.getQueryState(['get', '/api/inbox'])?.isInvalidated).toBe(true);
});

test('a page without a stream asks again by itself while nobody answers, else never', () => {
  expect(againAfter(problem('agent_not_running'))).toBe(2000);
  expect(againAfter(unreachable())).toBe(2000);
  for (const error of [null, undefined, problem('forbidden')]) expect(againAfter(error)).toBe(false);
});
