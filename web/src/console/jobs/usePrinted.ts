/** What is told of a job as PDF: the centre prints it, if it has what that takes, and says otherwise what to do. */
import { App } from 'antd';
import { http } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import type { Language } from '../../shared/preferences';
import { told } from '../../shared/states/Failed';
import { saveAs } from '../canvas/files';

const PRINTING = 'printing';
const PATHS = {
  report: '/api/v1/jobs/{key}/report',
  explanation: '/api/v1/jobs/{key}/explain',
} as const;

/** What the centre prints of a job. */
export type Printed = keyof typeof PATHS;

/** Asks for a PDF; raises the `Problem` of a centre that cannot print. */
export async function printed(job: string, what: Printed, lang: Language): Promise<Blob> {
  const params = { path: { key: job }, query: { format: 'pdf', lang } } as const;
  const { data } = await http.GET(PATHS[what], { params, parseAs: 'blob' });
  return data as unknown as Blob;
}

/** Lays a PDF down as a file; a failure is told in a message, not saved as a broken file. */
export function usePrinted(job: string): (what: Printed, lang: Language) => Promise<void> {
  const { t } = useTexts('jobs');
  const { message, modal } = App.useApp();
  return async (what, lang) => {
    void message.loading({ key: PRINTING, content: t('jobs:file.pdf.printing'), duration: 0 });
    const name = what === 'report' ? job : `${job}-${what}`;
    try {
      saveAs(`${name}-${lang}.pdf`, await printed(job, what, lang));
    } catch (error) {
      const said = told(asProblem(error), t);
      const content = [said.message, said.hint].filter(Boolean).join(' ');
      modal.error({ title: t('jobs:file.pdf.failed'), content });
    } finally {
      message.destroy(PRINTING);
    }
  };
}
