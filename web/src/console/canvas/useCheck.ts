/** What the centre says of a draft: asked after each change, a moment later, and never otherwise. */
import { useEffect, useRef, useState } from 'react';
import { http, type Schemas } from '../../api/client';
import { asProblem, type Problem } from '../../api/problem';
import { watchRenewal } from '../../api/queries';
import { same, type Members } from './json';

export type Checked = Schemas['Checked'];
export type Check = {
  /** The last answer; it is of `request`. */
  answer: Checked | null;
  request: Members | null;
  running: boolean;
  failed: Problem | null;
  again: () => void;
};
const WAIT = 500;

/** Checks a draft; a draft without a kind is not asked about. */
export function useCheck(request: Members, language: string): Check {
  const [found, keep] = useState<Omit<Check, 'again'>>({
    answer: null,
    request: null,
    running: false,
    failed: null,
  });
  const [turn, go] = useState(0);
  const asked = useRef<{ request: Members; turn: number; language: string } | null>(null);
  useEffect(() => {
    const last = asked.current;
    if (!request['kind']) {
      asked.current = null;
      keep({ answer: null, request: null, running: false, failed: null });
      return undefined;
    }
    if (last && last.turn === turn && last.language === language && same(last.request, request)) {
      return undefined;
    }
    const ending = new AbortController();
    keep((before) => ({ ...before, running: true }));
    const timer = setTimeout(() => {
      http
        .POST('/api/v1/jobs/check-draft', { body: request as never, signal: ending.signal })
        .then(({ data }) => {
          asked.current = { request, turn, language };
          keep({ answer: data ?? null, request, running: false, failed: null });
        })
        .catch((error: unknown) => {
          if (ending.signal.aborted) return;
          asked.current = { request, turn, language };
          keep((before) => ({ ...before, running: false, failed: asProblem(error) }));
        });
    }, WAIT);
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, [request, turn, language]);
  useEffect(() => watchRenewal(() => go((one) => one + 1)), []);
  return { ...found, again: () => go((one) => one + 1) };
}
