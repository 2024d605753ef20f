/** Who is logged in, and what happens when that ends. */
import { api, type Schemas } from '../api/client';

export type Account = Schemas['Account'];

/** The account of this session. */
export function useMe() {
  return api.useQuery('get', '/api/v1/me', {}, { staleTime: 60_000 });
}

export { loginFor, wayBack } from '../shared/ways';
