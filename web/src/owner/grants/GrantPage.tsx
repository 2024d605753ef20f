import { Flex } from 'antd';
import { Link, Navigate, useParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { api, type Schemas } from '../api';
import { Facts } from '../parts/Facts';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import { GrantState } from './GrantList';
import { GrantUses } from './GrantUses';
import { Revoke } from './Revoke';
import { TermsShown } from './TermsShown';
import { Unlock } from './Unlock';

/** One grant: its terms, what is used of it, and what taking it back stops. */
export default function GrantPage() {
  const { t } = useTexts('holdings');
  const { grant = '' } = useParams();
  const query = api.useQuery('get', '/api/grants/{grant}', { params: { path: { grant } } });
  return (
    <PageFrame
      title={t('holdings:grant.of', { dataset: query.data?.grant.dataset ?? '' })}
      extra={<Link to="/grants">{t('holdings:grants')}</Link>}
    >
      <Answer query={query}>
        {(shown) =>
          shown.grant.state === 'proposed' ? (
            <Navigate to={`/grants/${shown.grant.id}/confirm`} replace />
          ) : (
            <Shown shown={shown} />
          )
        }
      </Answer>
    </PageFrame>
  );
}

function Shown({ shown }: { shown: Schemas['Grant'] }) {
  const { t } = useTexts('holdings');
  const { grant } = shown;
  const admin = useMay('owner-admin');
  const decider = useMay('decider');
  return (
    <Flex vertical gap="middle">
      <Section title={t('holdings:about')}>
        <Facts
          facts={[
            { label: t('holdings:state'), value: <GrantState state={grant.state} /> },
            { label: t('holdings:id'), value: <Id value={grant.id} /> },
            { label: t('holdings:by'), value: grant.by },
            {
              label: t('holdings:created'),
              value: grant.created ? <Moment at={grant.created} /> : '',
            },
            {
              label: t('holdings:revoked'),
              value: grant.revoked ? <Moment at={grant.revoked} /> : '',
            },
            { label: t('holdings:reason'), value: grant.reason },
          ]}
        />
      </Section>
      <StoppedJobs stopped={shown.stopped} />
      <Section title={t('holdings:terms')}>
        <TermsShown grant={grant} />
      </Section>
      <Section title={t('holdings:usage', { count: shown.uses.length })}>
        <GrantUses uses={shown.uses} />
      </Section>
      {grant.state === 'locked' && admin ? <Unlock grant={grant} /> : null}
      {grant.revocable && decider ? <Revoke shown={shown} /> : null}
    </Flex>
  );
}

function StoppedJobs({ stopped }: { stopped: readonly Schemas['Stopped'][] }) {
  const { t } = useTexts('holdings');
  if (!stopped.length) return null;
  return (
    <Section title={t('holdings:stopped')}>
      <ul className={parts['lines']}>
        {stopped.map((one) => (
          <li key={one.job}>
            <Id value={one.job} /> · <Moment at={one.at} />
            {one.told.map((line) => (
              <p key={line} className={parts['quiet']}>
                {line}
              </p>
            ))}
          </li>
        ))}
      </ul>
    </Section>
  );
}
