/** Failures: every one that a page can meet is a `Problem` (RFC 9457). */

export type Facts = Record<string, unknown>;

/** What happened to whom, the next step, and the code. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly hint: string;
  readonly details: Facts;
  /** Names the request in the log of the centre; empty if no answer came. */
  readonly request: string;

  constructor(said: {
    status: number;
    code: string;
    message: string;
    title?: string;
    hint?: string;
    details?: Facts;
    request?: string;
  }) {
    super(said.message);
    this.name = 'Problem';
    this.status = said.status;
    this.code = said.code;
    this.title = said.title ?? '';
    this.hint = said.hint ?? '';
    this.details = said.details ?? {};
    this.request = said.request ?? '';
  }

  /** Whether the session has ended, or was never there. */
  get sessionEnded(): boolean {
    return this.status === 401 && SESSION_ENDED.has(this.code);
  }

  /** Whether no answer came: nobody knows what the other side thinks. */
  get unreachable(): boolean {
    return this.code === 'unreachable';
  }
}

const SESSION_ENDED = new Set([
  'unauthenticated',
  'session_expired',
  'token_expired',
  'session_needed', // of the owner's page
]);

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Reads a refused answer; whatever a proxy in between wrote becomes a problem too. */
export async function problemOf(response: Response): Promise<Problem> {
  let body: Facts = {};
  try {
    const value: unknown = await response.clone().json();
    if (typeof value === 'object' && value !== null) body = value as Facts;
  } catch {
    // not JSON: a proxy's page
  }
  const details = body['details'];
  return new Problem({
    status: response.status,
    code: text(body['code']) || `http_${response.status}`,
    message: text(body['detail']),
    title: text(body['title']),
    hint: text(body['hint']),
    details: typeof details === 'object' && details !== null ? (details as Facts) : {},
    request: response.headers.get('x-request-id') ?? '',
  });
}

/** The problem of a request that got no answer. */
export function unreachable(): Problem {
  return new Problem({ status: 0, code: 'unreachable', message: '' });
}

/** Whatever was thrown, as a problem: what is none is a defect of the page. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new Problem({ status: 0, code: 'defect', message });
}
