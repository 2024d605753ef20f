import { Alert } from 'antd';
import { useTexts } from '../../shared/i18n';
import type { Schemas } from '../api';
import parts from '../parts/parts.module.css';

/** Jobs on which the own record and the ledger entries that were signed do not agree. */
export function Differences({ differences }: { differences: readonly Schemas['Difference'][] }) {
  const { t } = useTexts('owner');
  if (!differences.length) return null;
  return (
    <Alert
      type="error"
      showIcon
      title={t('owner:differences', { count: differences.length })}
      description={
        <>
          <p>{t('owner:differences.hint')}</p>
          <ul className={parts['lines']}>
            {differences.map((one) => (
              <li key={`${one.job} ${one.kind}`}>
                <code>{one.job}</code> · {one.message}
              </li>
            ))}
          </ul>
        </>
      }
    />
  );
}
