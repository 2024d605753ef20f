/** How a page begins in the browser: its pages, its frame, and its texts before anything is shown. */
import { createRoot } from 'react-dom/client';
import { RouterProvider } from 'react-router';
import { queryClient } from '../api/queries';
import { startTexts } from './i18n';
import type { Page } from './pages';
import { reloadAfterUpgrade } from './parts/PageFailed';
import { allowOwnStyles, prefix } from './place';
import { Root } from './Root';
import { routerOf, routesOf } from './router';
import { Absent } from './states/Absent';

type Shell = Parameters<typeof routesOf>[1];

/** Shows a page in its place. */
export async function start(pages: readonly Page[], shell: Shell): Promise<void> {
  const queries = queryClient();
  const router = routerOf(routesOf(pages, shell, Absent), prefix());
  allowOwnStyles();
  reloadAfterUpgrade(() => {
    const { location } = router.state.navigation;
    return location && router.createHref(location);
  });
  await startTexts();
  const place = document.getElementById('root');
  if (!place) return;
  createRoot(place).render(
    <Root queries={queries}>
      <RouterProvider router={router} />
    </Root>,
  );
}
