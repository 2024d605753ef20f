import { QueryObserver } from '@tanstack/react-query';
import { expect, test, vi } from 'vitest';
import { queryClient, stale } from './queries';

const key = ['get', '/api/v1/jobs/{key}'];

/** A question whose answers come when the test says so; each says of when it is. */
function asked() {
  const queries = queryClient();
  const waiting: ((answer: string) => void)[] = [];
  const watched = new QueryObserver<string>(queries, {
    queryKey: key,
    queryFn: () => new Promise((resolve) => waiting.push(resolve)),
  });
  const end = watched.subscribe(() => undefined);
  return { queries, waiting, end, shown: () => queries.getQueryData(key) };
}

test('a first answer that was under way when it became stale is asked for once more', async () => {
  const { queries, waiting, shown, end } = asked();
  for (let news = 0; news < 3; news++) stale(queries, '/api/v1/jobs/{key}');
  expect(waiting, 'the first is waited for, however often it becomes stale').toHaveLength(1);
  waiting[0]!('running');
  await vi.waitFor(() => expect(waiting).toHaveLength(2));
  expect(shown(), 'and shown meanwhile').toBe('running');
  waiting[1]!('failed');
  await vi.waitFor(() => expect(shown()).toBe('failed'));
  expect(waiting).toHaveLength(2);
  end();
});

test('one that nothing made stale is not asked for again', async () => {
  const { queries, waiting, shown, end } = asked();
  stale(queries, '/api/v1/projects');
  waiting[0]!('running');
  await vi.waitFor(() => expect(shown()).toBe('running'));
  await Promise.resolve();
  expect(waiting).toHaveLength(1);
  end();
});

test('what is shown is asked for anew at once, and the older answer is not shown', async () => {
  const { queries, waiting, shown, end } = asked();
  waiting[0]!('proposed');
  await vi.waitFor(() => expect(shown()).toBe('proposed'));
  stale(queries, '/api/v1/jobs/{key}');
  stale(queries, '/api/v1/jobs/{key}');
  expect(waiting).toHaveLength(3);
  waiting[1]!('running');
  waiting[2]!('failed');
  await vi.waitFor(() => expect(shown()).toBe('failed'));
  end();
});

test('what was put into an answer stays: an older one on its way is not shown', async () => {
  const { queries, waiting, shown, end } = asked();
  waiting[0]!('proposed');
  await vi.waitFor(() => expect(shown()).toBe('proposed'));
  stale(queries, '/api/v1/jobs/{key}');
  queries.setQueryData(key, 'failed');
  expect(waiting).toHaveLength(3);
  waiting[1]!('running');
  await new Promise((resolve) => setTimeout(resolve));
  expect(shown()).toBe('failed');
  waiting[2]!('failed, and told');
  await vi.waitFor(() => expect(shown()).toBe('failed, and told'));
  queries.setQueryData(key, 'put into what is at rest');
  expect(waiting, 'which asks nothing').toHaveLength(3);
  end();
});

test('a page that was left is not asked for again', async () => {
  const { queries, waiting, end } = asked();
  stale(queries, '/api/v1/jobs/{key}');
  end();
  waiting[0]!('running');
  await vi.waitFor(() => expect(queries.getQueryState(key)?.isInvalidated).toBe(true));
  expect(waiting).toHaveLength(1);
});
