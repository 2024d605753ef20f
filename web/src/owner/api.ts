/** The typed client of an owner's own agent: paths, parameters and answers of api/owner.json. */
import createFetchClient, { type Middleware } from 'openapi-fetch';
import createClient from 'openapi-react-query';
import { speaking } from '../api/client';
import type { components, paths } from '../api/owner.schema';
import { origin } from '../shared/place';
import { attended } from './attended';

export type Schemas = components['schemas'];

const FORM = 'X-SecureFlow-Form';
const UNATTENDED = 'X-SecureFlow-Unattended';
let form = '';

/** Keeps the token of a session: every call that writes brings it. */
export function keepForm(token: string): void {
  form = token;
}

/** Proves that a call comes from the page of this very session, and from no other tab or site. */
export const formed: Middleware = {
  onRequest({ request }) {
    if (request.method !== 'GET' && form) request.headers.set(FORM, form);
    return request;
  },
};

/** Says of what the page reads by itself that nobody attends: it keeps no session alive. */
export const quiet: Middleware = {
  onRequest({ request }) {
    if (request.method === 'GET' && !attended()) request.headers.set(UNATTENDED, '1');
    return request;
  },
};

/** Plain requests, for use outside of components. The API stands beside the page, not below it. */
export const http = createFetchClient<paths>({ baseUrl: origin() });
http.use(speaking, formed, quiet);

/** Requests as hooks. */
export const api = createClient(http);
