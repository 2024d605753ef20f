import { QueryClient } from '@tanstack/react-query';
import createFetchClient from 'openapi-fetch';
import { expect, test } from 'vitest';
import type { paths } from '../api/owner.schema';
import { formed, keepForm } from './api';
import { adopt, holds, stillIn, type Session } from './session';

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

test('a file is fetched only while somebody is logged in, and the page learns if nobody is', async () => {
  const queries = new QueryClient();
  const now = { form: 'f', account: { role: 'viewer' } } as Session;
  const nobody = { form: 'g', account: null } as Session;
  adopt(queries, now);
  expect(await stillIn(queries, async () => now)).toBe(true);
  expect(queries.getQueryData(['session'])).toEqual(now);
  expect(await stillIn(queries, async () => nobody)).toBe(false);
  expect(queries.getQueryData(['session'])).toEqual(nobody);
});
