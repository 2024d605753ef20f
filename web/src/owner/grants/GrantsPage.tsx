import { Alert, Flex } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api, type Schemas } from '../api';
import { useHoldingWords } from '../data/words';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import { GrantList } from './GrantList';

/** What this organisation allows, by state: what needs somebody stands first. */
export default function GrantsPage() {
  const { t } = useTexts('holdings');
  const words = useHoldingWords();
  const query = api.useQuery('get', '/api/grants');
  const decider = useMay('decider');
  return (
    <PageFrame
      title={t('holdings:grants')}
      lead={t('holdings:grants.lead')}
      extra={decider ? <Link to="/grants/new">{t('holdings:grant.new')}</Link> : null}
    >
      <Answer query={query}>
        {({ groups, stops }) => (
          <Flex vertical gap="middle">
            <Stops stops={stops} />
            {groups.map((one) => (
              <Section key={one.state} title={words.grant(one.state)}>
                <GrantList rows={one.rows} />
              </Section>
            ))}
            {groups.length ? null : (
              <Empty title={t('holdings:grants.none')} next={t('holdings:grants.none.next')} />
            )}
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

function Stops({ stops }: { stops: readonly Schemas['Stop'][] }) {
  const { t } = useTexts('holdings');
  if (!stops.length) return null;
  return (
    <Alert
      type="warning"
      showIcon
      title={t('holdings:stops')}
      description={
        <ul className={parts['lines']}>
          {stops.map((one) => (
            <li key={`${one.kind} ${one.name}`}>
              {t(`holdings:stop.${one.kind}`, { name: one.name })} · {one.reason} · {one.by}{' '}
              <Moment at={one.at} />
            </li>
          ))}
        </ul>
      }
    />
  );
}
