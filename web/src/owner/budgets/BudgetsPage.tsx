import { Alert, Flex } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api } from '../api';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';
import { ShareBar } from '../parts/ShareBar';

/** Every privacy budget: what is spent, what is reserved, what is left. */
export default function BudgetsPage() {
  const { t } = useTexts('holdings');
  const query = api.useQuery('get', '/api/budgets');
  return (
    <PageFrame title={t('holdings:budgets')} lead={t('holdings:budgets.lead')}>
      <Answer
        query={query}
        empty={{
          when: ({ budgets }) => !budgets.length,
          show: <Empty title={t('holdings:budgets.none')} next={t('holdings:budgets.none.next')} />,
        }}
      >
        {({ budgets }) => (
          <Flex vertical gap="middle">
            {budgets.map((one) => (
              <Section
                key={one.domain}
                title={one.domain}
                extra={
                  <Link
                    to={`/budgets/${encodeURIComponent(one.domain)}`}
                    aria-label={`${t('holdings:budget.course')}: ${one.domain}`}
                  >
                    {t('holdings:budget.course')}
                  </Link>
                }
              >
                {one.locked ? (
                  <Alert type="warning" showIcon title={t('holdings:budget.locked')} />
                ) : null}
                <ShareBar share={one.share} />
                <p className={parts['quiet']}>{one.datasets.join(', ')}</p>
              </Section>
            ))}
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}
