/** Who is at the browser, what they may do, and in which language they are answered. */
import { useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { usePreferences } from '../shared/preferences';
import { againAfter } from './back';
import { http, keepForm, type Schemas } from './api';

export type Session = Schemas['Session'];
export type Account = Schemas['Account'];
export type Role = 'viewer' | 'decider' | 'owner-admin';

const SESSION = ['session'];
const ROLES: readonly string[] = ['viewer', 'decider', 'owner-admin'];

/** Takes a session as the one of this tab. */
export function adopt(queries: QueryClient, session: Session): void {
  keepForm(session.form);
  queries.setQueryData(SESSION, session);
}

/** The session of this tab; nobody who is logged in is no failure. */
export function useSession() {
  return useQuery({
    queryKey: SESSION,
    queryFn: asked,
    staleTime: Infinity,
    // Without a session there is no stream that would say that the agent is back.
    refetchInterval: (query) => againAfter(query.state.error),
  });
}

async function asked(): Promise<Session> {
  const { data } = await http.GET('/api/session');
  keepForm(data!.form);
  return data!;
}

/**
 * Whether somebody is still logged in, before a browser fetches a file by itself: it would save the
 * refusal as the file. If not, the page says that the session has ended.
 */
export async function stillIn(queries: QueryClient, ask = asked): Promise<boolean> {
  const session = await ask();
  if (!session.account) queries.setQueryData(SESSION, session);
  return Boolean(session.account);
}

/** Forgets who is logged in; the page asks again. */
export function forgetSession(queries: QueryClient): void {
  void queries.invalidateQueries({ queryKey: SESSION });
}

/** Whether a role does what `least` does: each does what those before it do. */
export function holds(role: string, least: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(least);
}

/** Whether the person of this tab may do what `least` does. */
export function useMay(least: Role): boolean {
  return holds(useSession().data?.account?.role ?? '', least);
}

/** Has the agent answer in the language of the page, also where no program asks (a login's way back). */
export function useAnswersInOwnLanguage(): void {
  const queries = useQueryClient();
  const { language } = usePreferences();
  const answered = useSession().data?.language;
  useEffect(() => {
    if (!answered || answered === language) return;
    http.PUT('/api/language', { body: { language } }).then(
      () => queries.invalidateQueries(),
      () => undefined, // the next answer is in the other language: nothing is lost
    );
  }, [answered, language, queries]);
}
