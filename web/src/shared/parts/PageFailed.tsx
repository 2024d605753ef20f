import { useRouteError } from 'react-router';
import { Failed } from '../states/Failed';

const RELOADED = 'secureflow.reloaded';

/** A page that broke, or whose program is not there: never a blank screen. */
export function PageFailed() {
  const error = useRouteError();
  return <Failed error={error} retry={() => window.location.reload()} />;
}

/**
 * After an upgrade of the server the old program's parts are gone, and a part can fail to arrive:
 * loads the program anew, once, where somebody was going (`pending`, an address) if they were.
 */
export function reloadAfterUpgrade(pending: () => string | undefined): void {
  window.addEventListener('vite:preloadError', (event) => {
    const last = Number(sessionStorage.getItem(RELOADED) ?? 0);
    if (Date.now() - last < 60_000) return;
    sessionStorage.setItem(RELOADED, String(Date.now()));
    event.preventDefault();
    const wanted = pending();
    if (wanted === undefined) window.location.reload();
    else window.location.assign(wanted);
  });
}
