import { Tabs } from 'antd';
import { useSearchParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Appearance } from './Appearance';
import { Identities } from './Identities';
import { Notifications } from './Notifications';
import { Password } from './Password';
import { SecondFactor } from './SecondFactor';
import { Sessions } from './Sessions';
import { Tokens } from './Tokens';

const PARTS = {
  appearance: Appearance,
  notifications: Notifications,
  password: Password,
  factor: SecondFactor,
  identities: Identities,
  sessions: Sessions,
  tokens: Tokens,
} as const;

/** What is one's own: how pages look, what one is told, and the ways into the account. */
export default function Settings() {
  const { t } = useTexts('settings');
  const [search, setSearch] = useSearchParams();
  const asked = search.get('tab') ?? '';
  return (
    <PageFrame title={t('settings:title')}>
      <Tabs
        activeKey={asked in PARTS ? asked : 'appearance'}
        onChange={(tab) => setSearch({ tab }, { replace: true })}
        destroyOnHidden
        items={Object.entries(PARTS).map(([key, Part]) => ({
          key,
          label: t(`settings:tab.${key}`),
          children: <Part />,
        }))}
      />
    </PageFrame>
  );
}
