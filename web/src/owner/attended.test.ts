import createFetchClient from 'openapi-fetch';
import { afterEach, expect, test, vi } from 'vitest';
import type { paths } from '../api/owner.schema';
import { quiet } from './api';
import { attended, noteTouches, touch } from './attended';

afterEach(() => {
  vi.useRealTimers();
});

test('a page that nobody touched for a minute says so of what it reads, and of nothing else', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const sent: (string | null)[] = [];
  const client = createFetchClient<paths>({
    baseUrl: 'http://agent',
    fetch: async (request: Request) => {
      sent.push(request.headers.get('X-SecureFlow-Unattended'));
      return new Response(null, { status: 204 });
    },
  });
  client.use(quiet);
  touch();
  await client.GET('/api/overview');
  vi.advanceTimersByTime(60_000);
  await client.GET('/api/overview');
  await client.DELETE('/api/session');
  touch();
  await client.GET('/api/overview');
  expect(sent).toEqual([null, '1', null, null]);
});

test.each(['pointerdown', 'keydown', 'wheel', 'touchstart'])('a %s is a touch', (kind) => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const page = new EventTarget();
  noteTouches(page);
  touch();
  vi.advanceTimersByTime(60_000);
  expect(attended()).toBe(false);
  page.dispatchEvent(new Event(kind));
  expect(attended()).toBe(true);
});
