import { Tooltip } from 'antd';
import { useSyncExternalStore } from 'react';
import { day, isFar, moment, relative } from '../format';
import { usePreferences } from '../preferences';
import { usePrinting } from '../theme';

const STEP = 15_000;
const watchers = new Set<() => void>();
let ticking: ReturnType<typeof setInterval> | undefined;
let now = Math.floor(Date.now() / 1000);

function tick(): void {
  now = Math.floor(Date.now() / 1000);
  for (const each of watchers) each();
}

/** One clock for all moments of the page; it stands while none is shown. */
function watch(one: () => void): () => void {
  watchers.add(one);
  if (!ticking) tick();
  ticking ??= setInterval(tick, STEP);
  return () => {
    watchers.delete(one);
    if (watchers.size) return;
    clearInterval(ticking);
    ticking = undefined;
  };
}

/** Unix seconds, as the page's clock shows them. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => now);
}

/** When something was, relative to now; the absolute time on hover, for the keyboard, on paper. */
export function Moment({ at }: { at: number }) {
  const { language, zone } = usePreferences();
  const current = useNow();
  const printing = usePrinting();
  const absolute = moment(at, language, zone);
  return (
    <Tooltip title={absolute}>
      <time dateTime={new Date(at * 1000).toISOString()} aria-label={absolute} tabIndex={0}>
        {printing ? absolute : relative(at, current, language)}
        {!printing && isFar(at, current) ? ` (${day(at, language, zone)})` : ''}
      </time>
    </Tooltip>
  );
}
