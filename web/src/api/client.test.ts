import createFetchClient from 'openapi-fetch';
import { expect, test } from 'vitest';
import { prefer } from '../shared/preferences';
import { speaking } from './client';
import { Problem } from './problem';
import type { paths } from './schema';

function clientOf(answer: (request: Request) => Promise<Response>) {
  const made = createFetchClient<paths>({ baseUrl: 'http://centre', fetch: answer });
  made.use(speaking);
  return made;
}

test('answers are asked for in the language that is preferred', async () => {
  const said: (string | null)[] = [];
  const client = clientOf((request) => {
    said.push(request.headers.get('accept-language'));
    return Promise.resolve(Response.json({ items: [], next: '' }));
  });
  prefer({ language: 'zh' });
  await client.GET('/api/v1/oidc');
  prefer({ language: 'en' });
  await client.GET('/api/v1/oidc');
  expect(said).toEqual(['zh', 'en']);
});

test('a refusal and a silence are thrown as problems', async () => {
  const refusing = clientOf(() =>
    Promise.resolve(Response.json({ code: 'forbidden', detail: 'No.' }, { status: 403 })),
  );
  await expect(refusing.GET('/api/v1/me')).rejects.toMatchObject({ code: 'forbidden' });
  const silent = clientOf(() => Promise.reject(new TypeError('Failed to fetch')));
  const caught = await silent.GET('/api/v1/me').catch((error: unknown) => error);
  expect(caught).toBeInstanceOf(Problem);
  expect((caught as Problem).unreachable).toBe(true);
});
