/** The one stream of the page (GET /api/events), and what of the cache each of its events makes old. */
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { stale } from '../../api/queries';
import { hub, Live, useLive } from '../../shared/live';
import { origin } from '../../shared/place';
import { agentIsBack } from '../back';
import { forgetSession } from '../session';

const KINDS = ['now', 'changed', 'away', 'ended'];

const INBOX = ['/api/inbox', '/api/inbox/{item}', '/api/inbox/{item}/rule'];
const GRANTS = ['/api/grants', '/api/grants/{grant}', '/api/grants/{grant}/review'];
const DATA = ['/api/datasets', '/api/datasets/{name}'];
const BUDGETS = ['/api/budgets', '/api/budgets/{domain}'];
const SEEN = ['/api/overview', '/api/activity'];

/** Which paths of the API show each part of which the stream tells. */
const PATHS: Record<string, readonly string[]> = {
  inbox: [...INBOX, ...SEEN],
  grants: [...GRANTS, ...DATA, ...SEEN],
  people: ['/api/people', '/api/people/{name}', '/api/account', '/api/activity'],
  data: [...DATA, ...BUDGETS, ...SEEN, '/api/grant-choices'],
  jobs: ['/api/running', ...DATA, ...BUDGETS, ...GRANTS, ...SEEN],
  agent: ['/api/policies', '/api/policies/{name}', '/api/charter', '/api/ledger/head', ...SEEN],
};

/** The paths that parts make old, each once. */
export function pathsOf(parts: unknown): string[] {
  if (!Array.isArray(parts)) return [];
  return [...new Set(parts.flatMap((part) => PATHS[String(part)] ?? []))];
}

export type Standing = { link: string; waiting: number | null };

/** How an event says that things stand; the agent that is away says nothing of the rest. */
export function standingOf(kind: string, data: Record<string, unknown>, before: Standing): Standing {
  const { link, waiting } = data;
  return {
    link: typeof link === 'string' ? link : before.link,
    waiting: kind !== 'away' && typeof waiting === 'number' ? waiting : before.waiting,
  };
}

/**
 * Opens the stream while somebody is logged in; answers with how things stand.
 *
 * @param session names the session whose stream it is; empty while there is none
 * @param ended called when it is over
 */
export function useStream(session: string, ended: () => void): Standing {
  const queries = useQueryClient();
  const [standing, stand] = useState<Standing>({ link: 'connected', waiting: null });
  useEffect(() => {
    if (!session) return;
    const again = () => agentIsBack(queries);
    const live = new Live(`${origin()}/api/events`, KINDS, hub, () => forgetSession(queries), again);
    live.start();
    return () => live.stop();
  }, [queries, session]);
  useLive(KINDS, ({ kind, data }) => {
    if (kind === 'ended') return ended();
    if (kind !== 'away' && standing.link === 'away') agentIsBack(queries);
    // What was answered before the stream began may have changed in between: nobody told.
    else if (kind === 'now') void queries.invalidateQueries();
    else stale(queries, ...pathsOf(data['parts']));
    stand(standingOf(kind, data, standing));
  });
  return standing;
}
