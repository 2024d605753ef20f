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
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import type { Section } from '../../shared/pages';
import { Places } from '../../shared/shell/Places';
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

/** The places that have pages, below the product's name. */
export function Navigation() {
  const { t } = useTexts('shell');
  return (
    <Places
      label={t('shell:navigation')}
      pages={pages}
      sections={SECTIONS}
      icons={ICONS}
      name={(section) => t(`shell:section.${section}`)}
    >
      <Link to="/" className={css['product']} aria-label={t('shell:home')}>
        S<span>ecureFlow</span>
      </Link>
    </Places>
  );
}
