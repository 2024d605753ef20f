/** The typed client of the centre: paths, parameters and answers are those of api/openapi.json. */
import createFetchClient, { type Middleware } from 'openapi-fetch';
import createClient from 'openapi-react-query';
import { preferences } from '../shared/preferences';
import { origin, prefix } from '../shared/place';
import { problemOf, unreachable } from './problem';
import type { components, paths } from './schema';

/** Asks in the user's language, and throws a `Problem` for whatever is not an answer. */
export const speaking: Middleware = {
  onRequest({ request }) {
    request.headers.set('Accept-Language', preferences().language);
    return request;
  },
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response);
  },
  onError({ error }) {
    if (error instanceof DOMException && error.name === 'AbortError') return undefined;
    return unreachable();
  },
};

/** Plain requests, for use outside of components. */
export const http = createFetchClient<paths>({ baseUrl: origin() + prefix() });
http.use(speaking);

/** Requests as hooks: `api.useQuery('get', '/api/v1/jobs')`, `api.useMutation('post', …)`. */
export const api = createClient(http);

export type Schemas = components['schemas'];
