import { Alert, Button, Flex } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import type { Schemas } from '../api';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import css from './Request.module.css';

type Props = { code: Schemas['CodeAsked']; turn: (page: number) => void };

function kindOf(line: string): string {
  if (line.startsWith('+')) return css['added'] ?? '';
  return line.startsWith('-') ? (css['removed'] ?? '') : '';
}

/** The code that the job brings: what there is to know of it, and its difference, page by page. */
export function Code({ code, turn }: Props) {
  const { t } = useTexts('inbox');
  return (
    <Section title={t('inbox:code')}>
      {code.known ? null : <Alert type="warning" showIcon title={t('inbox:code.unknown')} />}
      <Facts
        facts={[
          { label: t('inbox:code.digest'), value: code.digest ? <Id value={code.digest} /> : '' },
          { label: t('inbox:code.entry'), value: code.entry },
          { label: t('inbox:code.told'), value: code.told.join('\n') },
        ]}
      />
      <Flex gap="small" align="center">
        <Button size="small" disabled={code.page <= 1} onClick={() => turn(code.page - 1)}>
          {t('inbox:code.before')}
        </Button>
        {t('inbox:code.page', { page: code.page, pages: code.pages })}
        <Button size="small" disabled={code.page >= code.pages} onClick={() => turn(code.page + 1)}>
          {t('inbox:code.next')}
        </Button>
      </Flex>
      <div
        className={css['difference']}
        tabIndex={0}
        role="region"
        aria-label={t('inbox:code.difference')}
      >
        {code.difference.map((line, place) => (
          <div key={place} className={kindOf(line)}>
            {line}
          </div>
        ))}
      </div>
    </Section>
  );
}
