/** Reports as PDF: the centre prints them, if it has what that takes, and says otherwise what to do. */
import { App } from 'antd';
import { http } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import type { Language } from '../../shared/preferences';
import { told } from '../../shared/states/Failed';
import { saveAs } from '../canvas/files';

const PRINTING = 'printing';

/** Asks for the report of a job as PDF; raises the `Problem` of a centre that cannot print. */
export async function printed(job: string, lang: Language): Promise<Blob> {
  const params = { path: { key: job }, query: { format: 'pdf', lang } } as const;
  const { data } = await http.GET('/api/v1/jobs/{key}/report', { params, parseAs: 'blob' });
  return data as unknown as Blob;
}

/** Lays a report down as a file; a failure is told in a message, not saved as a broken file. */
export function usePrinted(job: string): (lang: Language) => Promise<void> {
  const { t } = useTexts('jobs');
  const { message, modal } = App.useApp();
  return async (lang) => {
    void message.loading({ key: PRINTING, content: t('jobs:file.pdf.printing'), duration: 0 });
    try {
      saveAs(`${job}-${lang}.pdf`, await printed(job, lang));
    } catch (error) {
      const said = told(asProblem(error), t);
      const content = [said.message, said.hint].filter(Boolean).join(' ');
      modal.error({ title: t('jobs:file.pdf.failed'), content });
    } finally {
      message.destroy(PRINTING);
    }
  };
}
