import { QueryClient } from '@tanstack/react-query';
import createFetchClient from 'openapi-fetch';
import { expect, test } from 'vitest';
import type { paths } from '../api/owner.schema';
import { formed, keepForm } from './api';
import { adopt, holds, type Session } from './session';

test('each role does what those before it do', () => {
  expect(holds('owner-admin', 'decider')).toBe(true);
  expect(holds('decider', 'owner-admin')).toBe(false);
  expect(holds('viewer', 'viewer')).toBe(true);
  expect(holds('', 'viewer')).toBe(false);
  expect(holds('root', 'viewer')).toBe(false);
});

/** A client that only writes down the token of each call. */
function client() {
  const sent: (string | null)[] = [];
  const made = createFetchClient<paths>({
    baseUrl: 'http://agent',
    fetch: async (request: Request) => {
      sent.push(request.headers.get('X-SecureFlow-Form'));
      return new Response(null, { status: 204 });
    },
  });
  made.use(formed);
  return { made, sent };
}

test('every call that writes brings the token of this tab, and none that reads does', async () => {
  const { made, sent } = client();
  keepForm('');
  await made.DELETE('/api/session');
  adopt(new QueryClient(), { form: 'of-this-session' } as Session);
  await made.DELETE('/api/session');
  await made.GET('/api/overview');
  keepForm('of-the-next');
  await made.PUT('/api/account/absence', { body: { until: '' } });
  expect(sent).toEqual([null, 'of-this-session', null, 'of-the-next']);
});
