import { Tag } from 'antd';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Empty } from '../../shared/states/Empty';
import { Away } from './Away';
import css from './Overview.module.css';
import type { Absence, JobSummary } from './overview';
import { useMe } from '../session';
import { Panel } from './Panel';

type Waits = Schemas['Waiting'];
type Props = { waiting: Waits; absent: readonly Absence[]; here: (job: JobSummary) => boolean };

/** How much waits for the caller's own deed. */
export function mineOf(waiting: Waits): number {
  const { approvals, questions, invitations, charter } = waiting;
  const lists = [approvals, questions, invitations, charter ? [charter] : []];
  return lists.flat().filter((one) => one.mine).length;
}

/** What waits for whom: mine first, then what others have not answered. */
export function Waiting({ waiting, absent, here }: Props) {
  const { t } = useTexts('overview');
  const approvals = waiting.approvals.filter((one) => here(one.job));
  const { questions, invitations, charter } = waiting;
  const handed = useMe().data?.handed ?? false;
  const count = mineOf(waiting) + (handed ? 1 : 0);
  const lists = [approvals, questions, invitations];
  const nothing = !handed && !charter && lists.every((one) => !one.length);
  return (
    <Panel
      title={t('overview:waiting')}
      extra={count ? <Tag color="warning">{t('overview:waiting.mine', { count })}</Tag> : null}
    >
      {nothing ? <Empty title={t('overview:waiting.none')} /> : null}
      <ul className={css['lines']}>
        {handed ? <HandedLine /> : null}
        {invitations.map((one) => (
          <Line
            key={one.project}
            to={`/projects/${one.project}`}
            text={t('overview:waiting.invited', { name: one.name, by: one.by })}
            since={one.since}
            mine={one.mine}
          />
        ))}
        {questions.map((one) => (
          <Line
            key={`${one.job}-${one.number}`}
            to={`/jobs/${one.job}`}
            text={t('overview:waiting.question', { name: one.name, by: one.organisation })}
            since={one.asked}
            mine={one.mine}
          >
            <q>{one.question}</q>
          </Line>
        ))}
        {approvals.map((one) => (
          <Line
            key={`${one.job.id}-${one.organisation}`}
            to={`/jobs/${one.job.id}`}
            text={t('overview:waiting.approval', { name: one.job.name, by: one.organisation })}
            since={one.since}
            mine={one.mine}
          >
            {one.mine ? t('overview:waiting.decide') : null}
            <Away
              absent={absent.filter((each) => each.job === one.job.id && each.party === one.organisation)}
            />
          </Line>
        ))}
        {charter ? <CharterLine charter={charter} /> : null}
      </ul>
    </Panel>
  );
}

type LineProps = {
  to: string;
  text: string;
  since: number;
  mine: boolean;
  children?: ReactNode;
};

function Line({ to, text, since, mine, children }: LineProps) {
  const { t } = useTexts('overview');
  return (
    <li>
      <div className={css['line']}>
        <Link to={to}>{text}</Link>
        <span>
          {mine ? <Tag color="warning">{t('overview:waiting.you')}</Tag> : null}{' '}
          <Moment at={since} />
        </span>
      </div>
      {children ? <div className={css['quiet']}>{children}</div> : null}
    </li>
  );
}

/** The password that somebody else chose, until its owner has changed it. */
function HandedLine() {
  const { t } = useTexts('overview');
  return (
    <li>
      <div className={css['line']}>
        <Link to="/settings?tab=password">{t('overview:waiting.handed')}</Link>
        <Tag color="warning">{t('overview:waiting.you')}</Tag>
      </div>
      <p className={css['quiet']}>{t('overview:waiting.handed.hint')}</p>
    </li>
  );
}

/** The next charter: who has not signed it. It is signed at the agents, never here. */
function CharterLine({ charter }: { charter: NonNullable<Waits['charter']> }) {
  const { t } = useTexts('overview');
  const { version, missing, mine } = charter;
  return (
    <li>
      <div className={css['line']}>
        <Link to="/organisations">{t('overview:waiting.charter', { version })}</Link>
        {mine ? <Tag color="warning">{t('overview:waiting.you')}</Tag> : null}
      </div>
      <p className={css['quiet']}>
        {t('overview:waiting.unsigned', { names: missing.join(', ') })}
        {mine ? ` ${t('overview:waiting.sign')}` : ''}
      </p>
    </li>
  );
}
