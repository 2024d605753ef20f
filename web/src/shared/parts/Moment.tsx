import { Tooltip } from 'antd';
import { useSyncExternalStore } from 'react';
import { day, isFar, moment, relative } from '../format';
import { useTexts } from '../i18n';
import { usePreferences } from '../preferences';
import { usePrinting } from '../theme';

const STEP = 15_000;
/** Seconds within which a moment is told without a number: the clock's own step. */
const JUST = STEP / 1000;
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
  const { t } = useTexts();
  const { language, zone } = usePreferences();
  const current = useNow();
  const printing = usePrinting();
  // The page's clock is behind by up to a step: what it puts ahead by less has happened.
  const just = Math.abs(at - current) < JUST;
  const away = just ? t('common:moment.just') : relative(at, current, language);
  const absolute = moment(at, language, zone);
  return (
    <Tooltip title={absolute}>
      <time dateTime={new Date(at * 1000).toISOString()} aria-label={absolute} tabIndex={0}>
        {printing ? absolute : away}
        {!printing && isFar(at, current) ? ` (${day(at, language, zone)})` : ''}
      </time>
    </Tooltip>
  );
}
