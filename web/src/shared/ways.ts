/** The way through the login and back. */

/**
 * Where a login leads: only to a path of this very page. A browser leaves tabs and line breaks out of
 * an address, and takes a backslash for a slash: with them it may be another site's.
 */
export function wayBack(said: string | null): string {
  if (!said || !/^\/(?!\/)[^\s\\\p{Cc}]*$/u.test(said)) return '/';
  return said.startsWith('/login') ? '/' : said;
}

/** The address of the login page that leads back to a path. */
export function loginFor(path: string): string {
  return path === '/' ? '/login' : `/login?back=${encodeURIComponent(path)}`;
}
