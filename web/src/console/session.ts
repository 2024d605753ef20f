/** Who is logged in, and what happens when that ends. */
import { api, type Schemas } from '../api/client';

export type Account = Schemas['Account'];

/** The account of this session. */
export function useMe() {
  return api.useQuery('get', '/api/v1/me', {}, { staleTime: 60_000 });
}

/** Where a login leads: only to a path of this very console. */
export function wayBack(said: string | null): string {
  if (!said || !/^\/(?![/\\])/.test(said)) return '/';
  return said.startsWith('/login') ? '/' : said;
}

/** The address of the login page that leads back to a path. */
export function loginFor(path: string): string {
  return path === '/' ? '/login' : `/login?back=${encodeURIComponent(path)}`;
}
