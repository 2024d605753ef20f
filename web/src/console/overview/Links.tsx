import { Tag, Typography } from 'antd';
import type { Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Empty } from '../../shared/states/Empty';
import css from './Overview.module.css';
import { Panel } from './Panel';

type Link = Schemas['LinkView'];
type Step = Schemas['LinkStep'];

const COLOURS: Record<Step['state'], string> = {
  ok: 'success',
  warning: 'warning',
  failed: 'error',
  unknown: 'default',
};

/** Whether each agent's link is in order, step by step; a broken one is open. */
export function Links({ links }: { links: Link[] }) {
  const { t } = useTexts('overview');
  return (
    <Panel title={t('overview:links')}>
      {links.length ? (
        <ul className={css['lines']}>
          {links.map((link) => (
            <li key={link.agent}>
              <details open={link.state === 'failed'}>
                <summary>
                  <strong>{link.party || link.agent}</strong>{' '}
                  <Tag color={COLOURS[link.state]}>{t(`overview:link.${link.state}`)}</Tag>
                </summary>
                <ol className={css['steps']}>
                  {link.steps.map((step) => (
                    <StepLine key={step.name} step={step} />
                  ))}
                </ol>
              </details>
            </li>
          ))}
        </ul>
      ) : (
        <Empty title={t('overview:links.none')} next={t('overview:links.next')} />
      )}
    </Panel>
  );
}

/** One step: what is wrong with it, who can mend it, and the command. */
function StepLine({ step }: { step: Step }) {
  const { t, has } = useTexts('overview');
  const name = has(`overview:step.${step.name}`) ? t(`overview:step.${step.name}`) : step.name;
  return (
    <li>
      {name} <Tag color={COLOURS[step.state]}>{t(`overview:step.is.${step.state}`)}</Tag>
      {step.cause ? <p>{step.cause}</p> : null}
      {step.who ? <p className={css['quiet']}>{t(`overview:step.who.${step.who}`)}</p> : null}
      {step.command ? (
        <Typography.Text code copyable>
          {step.command}
        </Typography.Text>
      ) : null}
    </li>
  );
}
