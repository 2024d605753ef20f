/** Whether somebody is at the page: what it reads by itself meanwhile keeps no session alive. */

const LATELY = 60_000;
const TOUCHES = ['pointerdown', 'keydown', 'wheel', 'touchstart'];

let touched = performance.now();

/** Notes that somebody touched the page. */
export function touch(): void {
  touched = performance.now();
}

/** Notes every touch of a page. */
export function noteTouches(of: EventTarget): void {
  for (const kind of TOUCHES) of.addEventListener(kind, touch, { capture: true, passive: true });
}

/** Whether somebody opened or touched the page in the last minute. */
export function attended(): boolean {
  return performance.now() - touched < LATELY;
}
