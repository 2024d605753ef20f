import { Tabs } from 'antd';
import { useSearchParams } from 'react-router';
import { Problem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { NoPermission } from '../../shared/states/NoPermission';
import { useMe } from '../session';
import { Attestations } from './Attestations';
import { Authorities } from './Authorities';
import { Deliveries } from './Deliveries';
import { LimitsTab } from './LimitsTab';
import { People } from './People';
import { QueueTab } from './QueueTab';
import { Webhooks } from './Webhooks';

const READS_PEOPLE = new Set(['platform-admin', 'organisation-admin', 'auditor']);
const ADMINISTERS = new Set(['platform-admin', 'organisation-admin']);

/** People, what is told to other systems, the queue, and the certificates' root. */
export default function Administration() {
  const { t } = useTexts('administration');
  const me = useMe().data;
  const [search, go] = useSearchParams();
  const has = (roles: Set<string>) => me?.roles.some((role) => roles.has(role)) ?? false;
  const parts = [
    ...(has(READS_PEOPLE)
      ? [{ key: 'people', label: t('administration:people'), children: <People /> }]
      : []),
    ...(has(ADMINISTERS)
      ? [
          { key: 'webhooks', label: t('administration:webhooks'), children: <Webhooks /> },
          { key: 'deliveries', label: t('administration:deliveries'), children: <Deliveries /> },
        ]
      : []),
    { key: 'queue', label: t('administration:queue'), children: <QueueTab /> },
    { key: 'limits', label: t('administration:limits'), children: <LimitsTab /> },
    { key: 'verdicts', label: t('administration:verdicts'), children: <Attestations /> },
    { key: 'authority', label: t('administration:authority'), children: <Authorities /> },
  ];
  const asked = search.get('part');
  const first = parts[0]?.key ?? 'queue';
  const shown = parts.some((one) => one.key === asked) ? (asked ?? first) : first;
  const refused = asked !== null && asked !== shown;
  return (
    <PageFrame title={t('administration:title')} lead={t('administration:lead')}>
      {refused && me ? (
        <NoPermission error={new Problem({ status: 403, code: 'forbidden', message: '' })} />
      ) : null}
      <Tabs
        activeKey={shown}
        onChange={(part) => go({ part }, { replace: true })}
        items={parts}
        destroyOnHidden
      />
    </PageFrame>
  );
}
