/** Keys that work anywhere on the page but in a field: back, forward, copy and paste of a step. */
import { useEffect, useRef } from 'react';
import { fit, LARGEST } from './bounds';
import { isMembers, type Json, type Members } from './json';

const MARK = 'secureflow-step';
const FIELDS = 'input, textarea, [contenteditable=true]';

type Deeds = {
  undo: () => void;
  redo: () => void;
  copy: () => Members | null;
  paste: (body: Members) => void;
};

function inField(event: Event): boolean {
  return event.target instanceof Element && event.target.closest(FIELDS) !== null;
}

/** Reads a step from what was copied; null for anything else. */
export function stepIn(text: string): Members | null {
  if (text.length > LARGEST) return null;
  try {
    const value = JSON.parse(text) as Json;
    return fit((isMembers(value) ? value[MARK] : null) ?? null);
  } catch {
    return null;
  }
}

/** A step as it is copied. */
export function asText(body: Members): string {
  return JSON.stringify({ [MARK]: body });
}

/** Listens while the canvas is shown. */
export function useKeys(deeds: Deeds): void {
  const latest = useRef(deeds);
  useEffect(() => {
    latest.current = deeds;
  });
  useEffect(() => {
    const keyed = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || inField(event)) return;
      const key = event.key.toLowerCase();
      const back = key === 'z' && !event.shiftKey;
      const forth = key === 'y' || (key === 'z' && event.shiftKey);
      if (!back && !forth) return;
      event.preventDefault();
      if (back) latest.current.undo();
      else latest.current.redo();
    };
    const copied = (event: ClipboardEvent) => {
      if (inField(event) || String(getSelection() ?? '') !== '') return;
      const body = latest.current.copy();
      if (!body) return;
      event.clipboardData?.setData('text/plain', asText(body));
      event.preventDefault();
    };
    const pasted = (event: ClipboardEvent) => {
      if (inField(event)) return;
      const body = stepIn(event.clipboardData?.getData('text/plain') ?? '');
      if (!body) return;
      event.preventDefault();
      latest.current.paste(body);
    };
    document.addEventListener('keydown', keyed);
    document.addEventListener('copy', copied);
    document.addEventListener('paste', pasted);
    return () => {
      document.removeEventListener('keydown', keyed);
      document.removeEventListener('copy', copied);
      document.removeEventListener('paste', pasted);
    };
  }, []);
}
