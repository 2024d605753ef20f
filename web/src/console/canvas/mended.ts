/** What the page says of a template that cannot be filled: of its fields, not of a command's options. */
import { asProblem, Problem } from '../../api/problem';
import type { Say } from '../../shared/i18n';

/** The failure with the page's own next step where the centre's is one of the command line. */
export function mended(error: unknown, t: Say): Problem {
  const problem = asProblem(error);
  if (problem.code !== 'invalid_request') return problem;
  const owners = problem.details['owners'];
  const field = problem.details['field'];
  if (field === 'keys' && Array.isArray(owners)) {
    return hinted(problem, t('canvas:template.keyless', { owners: owners.map(String).join(', ') }));
  }
  return field === 'label' ? hinted(problem, t('canvas:template.labelless')) : problem;
}

function hinted(problem: Problem, hint: string): Problem {
  const { status, code, message, title, details, request } = problem;
  return new Problem({ status, code, message, title, details, request, hint });
}
