import {
  AccountBookOutlined,
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
import { useTexts } from '../../shared/i18n';
import type { Section } from '../../shared/pages';
import { Places } from '../../shared/shell/Places';
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
  settlements: <AccountBookOutlined />,
  policy: <FileProtectOutlined />,
  record: <AuditOutlined />,
  verify: <SafetyCertificateOutlined />,
  doctor: <MedicineBoxOutlined />,
  people: <TeamOutlined />,
};

/** The places that have pages; the inbox says how many wait. */
export function Navigation({ waiting }: { waiting: number | null }) {
  const { t } = useTexts('owner');
  const more = (section: Section) =>
    section === 'inbox' && waiting ? (
      <>
        <span className={css['count']} aria-hidden="true">
          {waiting}
        </span>
        <span className="only-heard">{t('owner:waits', { count: waiting })}</span>
      </>
    ) : null;
  return (
    <Places
      label={t('owner:navigation')}
      pages={pages}
      sections={SECTIONS}
      icons={ICONS}
      name={(section) => t(`owner:section.${section}`)}
      more={more}
    />
  );
}
