import type { ReactNode } from 'react';
import { Link, useMatches } from 'react-router';
import type { Page, Section } from '../pages';
import css from './Shell.module.css';

type Props = {
  /** What the navigation is called. */
  label: string;
  pages: readonly Page[];
  sections: readonly Section[];
  icons: Partial<Record<Section, ReactNode>>;
  name: (section: Section) => string;
  /** What stands behind the name of a place. */
  more?: (section: Section) => ReactNode;
  /** What stands above the places. */
  children?: ReactNode;
};

/** The places that have pages, as links; the one of the shown page is marked. */
export function Places({ label, pages, sections, icons, name, more, children }: Props) {
  const here = (useMatches().at(-1)?.handle as Page | undefined)?.section;
  const places = sections.flatMap((section) => {
    const page = pages.find((one) => one.section === section && one.first);
    return page ? [{ section, to: `/${page.path}` }] : [];
  });
  return (
    <nav aria-label={label} className={css['navigation']}>
      {children}
      <ul>
        {places.map(({ section, to }) => (
          <li key={section}>
            <Link to={to} aria-current={section === here ? 'page' : undefined}>
              <span aria-hidden="true">{icons[section]}</span>
              <span className={css['place']}>{name(section)}</span>
              {more?.(section)}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
