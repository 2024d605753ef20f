/** The way through the login and back. */

/** Where a login leads: only to a path of this very page. */
export function wayBack(said: string | null): string {
  if (!said || !/^\/(?![/\\])/.test(said)) return '/';
  return said.startsWith('/login') ? '/' : said;
}

/** The address of the login page that leads back to a path. */
export function loginFor(path: string): string {
  return path === '/' ? '/login' : `/login?back=${encodeURIComponent(path)}`;
}
