import {
  AuditOutlined,
  BarChartOutlined,
  DatabaseOutlined,
  FileProtectOutlined,
  HomeOutlined,
  InboxOutlined,
  MedicineBoxOutlined,
  SafetyCertificateOutlined,
  TeamOutlined,
  ThunderboltOutlined,
  UnlockOutlined,
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
  inbox: <InboxOutlined />,
  data: <DatabaseOutlined />,
  grants: <UnlockOutlined />,
  budgets: <BarChartOutlined />,
  jobs: <ThunderboltOutlined />,
  policy: <FileProtectOutlined />,
  record: <AuditOutlined />,
  verify: <SafetyCertificateOutlined />,
  doctor: <MedicineBoxOutlined />,
  people: <TeamOutlined />,
};

/** The places that have pages, as links; the inbox says how many wait. */
export function Navigation({ waiting }: { waiting: number | null }) {
  const { t } = useTexts('owner');
  const here = (useMatches().at(-1)?.handle as Page | undefined)?.section;
  const places = SECTIONS.flatMap((section) => {
    const page = pages.find((one) => one.section === section && one.first);
    return page ? [{ section, to: `/${page.path}` }] : [];
  });
  return (
    <nav aria-label={t('owner:navigation')} className={css['navigation']}>
      <ul>
        {places.map(({ section, to }) => (
          <li key={section}>
            <Link to={to} aria-current={section === here ? 'page' : undefined}>
              <span aria-hidden="true">{ICONS[section]}</span>
              <span className={css['place']}>{t(`owner:section.${section}`)}</span>
              {section === 'inbox' && waiting ? (
                <>
                  <span className={css['count']} aria-hidden="true">
                    {waiting}
                  </span>
                  <span className="only-heard">{t('owner:waits', { count: waiting })}</span>
                </>
              ) : null}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
