import { Alert, Tag } from 'antd';
import { api, type Schemas } from '../../api/client';
import { duration } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import css from './Overview.module.css';
import { Panel } from './Panel';

type Party = Schemas['PartyStatus'];

const CLOCK = 60;
const OFTEN = 3;

/** Whether each agent has its link to the centre, and what is odd about it. */
export function Links() {
  const { t } = useTexts('overview');
  const parties = api.useQuery('get', '/api/v1/parties');
  return (
    <Panel title={t('overview:links')}>
      <Answer
        query={parties}
        empty={{
          when: (page) => !page.items.length,
          show: <Empty title={t('overview:links.none')} next={t('overview:links.next')} />,
        }}
      >
        {(page) => (
          <ul className={css['lines']}>
            {page.items.map((party) => (
              <LinkLine key={party.party} party={party} />
            ))}
          </ul>
        )}
      </Answer>
    </Panel>
  );
}

function LinkLine({ party }: { party: Party }) {
  const { t } = useTexts('overview');
  return (
    <li>
      <div className={css['line']}>
        <span>
          <strong>{party.party}</strong>{' '}
          <span className={css['quiet']}>{party.version}</span>
        </span>
        <span>
          <Tag color={party.connected ? 'success' : 'error'}>
            {t(party.connected ? 'overview:links.here' : 'overview:links.away')}
          </Tag>
          {party.last_progress ? <Moment at={Math.floor(party.last_progress)} /> : null}
        </span>
      </div>
      <Oddities party={party} />
    </li>
  );
}

/** What its organisation should look at. */
function Oddities({ party }: { party: Party }) {
  const { t } = useTexts('overview');
  const { language } = usePreferences();
  const ahead = party.clock_ahead ?? 0;
  const said: string[] = [];
  if (!party.connected) said.push(t('overview:links.away.hint'));
  if (Math.abs(ahead) > CLOCK) {
    const time = duration(Math.abs(ahead), language);
    said.push(t(ahead > 0 ? 'overview:links.fast' : 'overview:links.slow', { time }));
  }
  if ((party.replaced ?? 0) >= OFTEN) said.push(t('overview:links.twice'));
  return said.map((text) => <Alert key={text} type="warning" title={text} />);
}
