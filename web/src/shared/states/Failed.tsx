import { Alert, Button } from 'antd';
import { Link } from 'react-router';
import { asProblem, type Problem } from '../../api/problem';
import { useTexts, type Say } from '../i18n';
import { NoPermission } from './NoPermission';

const NO_PERMISSION = new Set(['forbidden', 'not_a_member', 'organisation_disabled', 'role_needed']);
const OF_THE_PAGE = new Set(['unreachable', 'defect', 'http_502', 'http_503', 'http_504']);

let silent: 'unreachable' | 'page' = 'unreachable';

/** Says who it is that does not answer: each entry has a server of its own. */
export function silenceMeans(who: 'unreachable' | 'page'): void {
  silent = who;
}

/** What happened and what to do next, in words of the page where the answer has none. */
export function told(problem: Problem, t: Say): { message: string; hint: string } {
  if (OF_THE_PAGE.has(problem.code)) {
    const code = problem.code === 'defect' ? 'defect' : silent;
    return { message: t(`common:failed.${code}`), hint: t(`common:failed.${code}.hint`) };
  }
  const message = problem.message || problem.title || t('common:failed.unknown');
  return { message, hint: problem.hint };
}

/** Failures that a page of our own mends, by their code. */
const WAYS: Record<string, [string, string]> = {
  second_factor_missing: ['/settings?tab=factor', 'common:way.factor'],
};

type Props = { error: unknown; retry?: () => void };

/** A failure: what happened to whom, the next step, the code, and the request to ask about. */
export function Failed({ error, retry }: Props) {
  const { t } = useTexts();
  const problem = asProblem(error);
  if (NO_PERMISSION.has(problem.code)) return <NoPermission error={problem} />;
  const { message, hint } = told(problem, t);
  return (
    <Alert
      type="error"
      showIcon
      title={message}
      description={
        <>
          {hint ? <p>{hint}</p> : null}
          <Way code={problem.code} t={t} />
          <p>
            {t('common:failed.code')} <code>{problem.code}</code>
            {problem.request ? (
              <>
                {' · '}
                {t('common:failed.request')} <code>{problem.request}</code>
              </>
            ) : null}
          </p>
        </>
      }
      action={retry ? <Button onClick={retry}>{t('common:retry')}</Button> : undefined}
    />
  );
}

function Way({ code, t }: { code: string; t: Say }) {
  const [to, text] = WAYS[code] ?? [];
  return to && text ? (
    <p>
      <Link to={to}>{t(text)}</Link>
    </p>
  ) : null;
}
