/**
 * What a person decides on stands still: a request that changes while somebody reads it is shown
 * anew when they say so, and until then nothing but what they read can be decided.
 */
import { useState } from 'react';
import type { Schemas } from '../api';

type Decision = Schemas['Decision'];

/** Whether what the agent has now is not what the person reads. */
export function differs(read: Decision, now: Decision): boolean {
  const same = read.seen === now.seen && read.summary.state === now.summary.state;
  return !same || read.mine !== now.mine || read.decides !== now.decides;
}

/** Which of two answers is shown: another page of the same code's difference is no change. */
export function shownOf(read: Decision | null, now: Decision): Decision {
  return read === null || !differs(read, now) ? now : read;
}

/** The request as the person reads it, whether it changed since, and how to read it anew. */
export function useShown(now: Decision) {
  const [read, setRead] = useState(now);
  const shown = shownOf(read, now);
  return {
    shown,
    changed: differs(shown, now),
    readAnew: (fresh?: Decision) => setRead(fresh ?? now),
  };
}
