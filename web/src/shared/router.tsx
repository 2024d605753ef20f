/** Makes the router of an entry from the pages of its areas. */
import { createBrowserRouter, type RouteObject } from 'react-router';
import type { ComponentType } from 'react';
import type { Page } from './pages';
import { PageFailed } from './parts/PageFailed';
import { Loading } from './states/Loading';

function routeOf(page: Page): RouteObject {
  return {
    path: `/${page.path}`,
    handle: page,
    errorElement: <PageFailed />,
    lazy: async () => ({ Component: (await page.load()).default }),
  };
}

type Frame = () => Promise<{ default: ComponentType }>;

/** The routes: open pages stand alone, all others in the frame. */
export function routesOf(pages: readonly Page[], frame: Frame, absent: ComponentType): RouteObject[] {
  return [
    ...pages.filter((page) => page.open).map(routeOf),
    {
      errorElement: <PageFailed />,
      lazy: async () => ({ Component: (await frame()).default }),
      children: [
        ...pages.filter((page) => !page.open).map(routeOf),
        { path: '*', Component: absent },
      ],
    },
  ].map((route) => ({ ...route, hydrateFallbackElement: <Loading /> }));
}

/**
 * The router, under the path that a proxy publishes the service at. That path ends with a slash,
 * also in the address of the first page: what is published there begins behind it.
 */
export function routerOf(routes: RouteObject[], prefix: string) {
  return createBrowserRouter(routes, { basename: `${prefix}/` });
}
