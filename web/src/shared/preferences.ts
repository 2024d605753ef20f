/** What this browser's user likes: kept here only, and the same in every tab. */
import { useSyncExternalStore } from 'react';

export type Language = 'en' | 'zh';
export type Theme = 'system' | 'light' | 'dark';
export type Density = 'comfortable' | 'compact';

export type Preferences = {
  language: Language;
  theme: Theme;
  density: Density;
  /** An IANA name; empty for the browser's own. */
  zone: string;
  /** The project whose things are shown; empty for all. */
  project: string;
};

const KEY = 'secureflow.preferences';
const watchers = new Set<() => void>();

function spoken(): Language {
  return typeof navigator !== 'undefined' && navigator.language.startsWith('zh') ? 'zh' : 'en';
}

function oneOf<T extends string>(value: unknown, known: readonly T[], otherwise: T): T {
  return known.find((one) => one === value) ?? otherwise;
}

/** Reads what was kept; whatever is not understood counts as not said. */
export function parsed(text: string | null): Preferences {
  let said: Record<string, unknown> = {};
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    if (typeof value === 'object' && value !== null) said = value as Record<string, unknown>;
  } catch {
    // somebody else wrote there
  }
  return {
    language: oneOf(said['language'], ['en', 'zh'], spoken()),
    theme: oneOf(said['theme'], ['system', 'light', 'dark'], 'system'),
    density: oneOf(said['density'], ['comfortable', 'compact'], 'comfortable'),
    zone: typeof said['zone'] === 'string' ? said['zone'] : '',
    project: typeof said['project'] === 'string' ? said['project'] : '',
  };
}

function stored(): Storage | null {
  try {
    return typeof localStorage === 'undefined' ? null : localStorage;
  } catch {
    return null; // the browser forbids it: then they last as long as the tab
  }
}

let current = parsed(stored()?.getItem(KEY) ?? null);

function tell(): void {
  for (const one of watchers) one();
}

if (typeof window !== 'undefined') {
  window.addEventListener('storage', (event) => {
    if (event.key !== KEY) return;
    current = parsed(event.newValue);
    tell();
  });
}

/** The preferences as they are now. */
export function preferences(): Preferences {
  return current;
}

/** Changes some of them, here and in the other tabs. */
export function prefer(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  stored()?.setItem(KEY, JSON.stringify(current));
  tell();
}

/** Calls `watch` at every change; returns what ends that. */
export function watchPreferences(watch: () => void): () => void {
  watchers.add(watch);
  return () => watchers.delete(watch);
}

/** The preferences, for a component that follows their changes. */
export function usePreferences(): Preferences {
  return useSyncExternalStore(watchPreferences, preferences);
}
