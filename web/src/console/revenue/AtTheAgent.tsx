import { Alert } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import css from './Revenue.module.css';

type Props = { commands: readonly (readonly [string, string, Record<string, unknown>?])[] };

/** What is decided at the own agent: by these commands there, or on the organisation's own page. */
export function AtTheAgent({ commands }: Props) {
  const { t } = useTexts('revenue');
  if (!commands.length) return null;
  return (
    <Alert
      type="info"
      showIcon
      title={t('revenue:decide')}
      description={
        <>
          <p>{t('revenue:decide.where')}</p>
          <ul className={css['commands']}>
            {commands.map(([what, command, facts]) => (
              <li key={command}>
                {t(`revenue:decide.${what}`, facts ?? {})} <Id value={command} />
              </li>
            ))}
          </ul>
        </>
      }
    />
  );
}
