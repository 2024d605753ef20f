import { Button, Tag } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';

const COLOURS: Record<string, string> = { critical: 'error', warning: 'warning' };

/** What is wrong now, and what the agent told that nobody has marked as read. */
export function Notices({ notices }: { notices: readonly Schemas['Notice'][] }) {
  const { t, has } = useTexts('owner');
  const read = useDeed(
    (ids: number[]) => http.POST('/api/notices/read', { body: { ids } }),
    '/api/overview',
  );
  if (!notices.length) return null;
  const numbered = notices.map((one) => one.id).filter((id) => id > 0);
  const severity = (one: string) =>
    has(`words:severity.${one}`) ? t(`words:severity.${one}`) : one;
  return (
    <Section
      title={t('owner:notices')}
      extra={
        numbered.length ? (
          <Button size="small" loading={read.isPending} onClick={() => read.mutate(numbered)}>
            {t('owner:notices.read')}
          </Button>
        ) : null
      }
    >
      {read.isError ? <Failed error={read.error} /> : null}
      <ul className={parts['lines']}>
        {notices.map((one) => (
          <li key={`${one.id} ${one.message}`}>
            <Tag color={COLOURS[one.severity] ?? 'default'}>{severity(one.severity)}</Tag>
            <Told notice={one} />
            <p className={parts['quiet']}>
              {one.hint} {one.at ? <Moment at={one.at} /> : null}
            </p>
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** What a notice says: in the page's own words, which lead to the page of what it is about. */
function Told({ notice }: { notice: Schemas['Notice'] }) {
  const { t, has } = useTexts('owner');
  const { kind, facts, message } = notice;
  const text = has(`owner:notice.${kind}`) ? t(`owner:notice.${kind}`, facts) : message;
  return notice.path ? <Link to={notice.path}>{text}</Link> : text;
}
