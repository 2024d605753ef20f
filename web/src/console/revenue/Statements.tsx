import { App, Button, Dropdown, Select, Space } from 'antd';
import { useState } from 'react';
import { http } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { prefix } from '../../shared/place';
import { usePreferences, type Language } from '../../shared/preferences';
import { told } from '../../shared/states/Failed';
import { saveAs } from '../canvas/files';
import { useMe } from '../session';
import { statementAt, type Settlement } from './steps';

const PRINTING = 'printing';

/** A member's statement to take along: as a page, as PDF, as a table. Members see each other's. */
export function Statements({ settlement }: { settlement: Settlement }) {
  const { t } = useTexts('revenue');
  const { language } = usePreferences();
  const me = useMe().data;
  const names = settlement.members.map((one) => one.organisation);
  const [chosen, choose] = useState('');
  const own = me && names.includes(me.organisation) ? me.organisation : (names[0] ?? '');
  const whose = chosen || own;
  const print = usePrintedStatement(settlement.id, whose);
  const link = (form: 'html' | 'csv' | 'json') => (
    <a href={statementAt(prefix(), settlement.id, form, whose, language)} download>
      {t(`revenue:statement.${form}`)}
    </a>
  );
  return (
    <Space.Compact>
      <Select
        aria-label={t('revenue:statement.whose')}
        style={{ minWidth: 140 }}
        value={whose}
        onChange={choose}
        options={names.map((one) => ({ value: one, label: one }))}
      />
      <Dropdown
        trigger={['click']}
        menu={{
          items: [
            ...(['html', 'csv', 'json'] as const).map((form) => ({ key: form, label: link(form) })),
            ...(['zh', 'en'] as const).map((lang) => ({
              key: `pdf-${lang}`,
              label: t(`revenue:statement.pdf.${lang}`),
              onClick: () => void print(lang),
            })),
          ],
        }}
      >
        <Button>{t('revenue:statement')}</Button>
      </Dropdown>
    </Space.Compact>
  );
}

/** Lays a statement down as PDF; what the centre says of a failure is told, not saved. */
function usePrintedStatement(settlement: string, organisation: string) {
  const { t } = useTexts('revenue');
  const { message, modal } = App.useApp();
  return async (lang: Language) => {
    void message.loading({ key: PRINTING, content: t('revenue:printing'), duration: 0 });
    const query = { format: 'pdf', lang, organisation } as const;
    try {
      const { data } = await http.GET('/api/v1/settlements/{key}/statement', {
        params: { path: { key: settlement }, query },
        parseAs: 'blob',
      });
      const name = `settlement-${settlement.slice(0, 16)}-${organisation}-${lang}.pdf`;
      saveAs(name, data as unknown as Blob);
    } catch (error) {
      const said = told(asProblem(error), t);
      const content = [said.message, said.hint].filter(Boolean).join(' ');
      modal.error({ title: t('revenue:printing.failed'), content });
    } finally {
      message.destroy(PRINTING);
    }
  };
}
