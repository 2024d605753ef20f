import { createRoot } from 'react-dom/client';
import { RouterProvider } from 'react-router';
import { queryClient } from '../api/queries';
import { startTexts } from '../shared/i18n';
import { allowOwnStyles, prefix } from '../shared/place';
import { Root } from '../shared/Root';
import { reloadAfterUpgrade } from '../shared/parts/PageFailed';
import { routerOf, routesOf } from '../shared/router';
import { Absent } from '../shared/states/Absent';
import { silenceMeans } from '../shared/states/Failed';
import { noteTouches } from './attended';
import { pages } from './registry';

const queries = queryClient();
const router = routerOf(
  routesOf(pages, () => import('./shell/Shell'), Absent),
  prefix(),
);

allowOwnStyles();
reloadAfterUpgrade();
silenceMeans('page');
noteTouches(window);
await startTexts();
const place = document.getElementById('root');
if (place) {
  createRoot(place).render(
    <Root queries={queries}>
      <RouterProvider router={router} />
    </Root>,
  );
}
