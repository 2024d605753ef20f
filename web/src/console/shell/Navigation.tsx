import {
  ApartmentOutlined,
  AuditOutlined,
  DatabaseOutlined,
  DeploymentUnitOutlined,
  HomeOutlined,
  ProjectOutlined,
  SettingOutlined,
  ThunderboltOutlined,
} from '@ant-design/icons';
import type { ReactNode } from 'react';
import { Link, useMatches } from 'react-router';
import { useTexts } from '../../shared/i18n';
import type { Page, Section } from '../../shared/pages';
import { pages } from '../registry';
import css from './Shell.module.css';
import { SECTIONS } from './sections';

const ICONS: Partial<Record<Section, ReactNode>> = {
  overview: <HomeOutlined />,
  projects: <ProjectOutlined />,
  data: <DatabaseOutlined />,
  jobs: <ThunderboltOutlined />,
  models: <DeploymentUnitOutlined />,
  record: <AuditOutlined />,
  organisations: <ApartmentOutlined />,
  administration: <SettingOutlined />,
};

/** Which place of the navigation the shown page belongs to. */
function useSection(): Section | undefined {
  const handle = useMatches().at(-1)?.handle as Page | undefined;
  return handle?.section;
}

/** The places that have pages, as links. */
export function Navigation() {
  const { t } = useTexts('shell');
  const here = useSection();
  const places = SECTIONS.flatMap((section) => {
    const page = pages.find((one) => one.section === section && one.first);
    return page ? [{ section, to: `/${page.path}` }] : [];
  });
  return (
    <nav aria-label={t('shell:navigation')} className={css['navigation']}>
      <Link to="/" className={css['product']} aria-label={t('shell:home')}>
        S<span>ecureFlow</span>
      </Link>
      <ul>
        {places.map(({ section, to }) => (
          <li key={section}>
            <Link to={to} aria-current={section === here ? 'page' : undefined}>
              <span aria-hidden="true">{ICONS[section]}</span>
              <span className={css['place']}>{t(`shell:section.${section}`)}</span>
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
