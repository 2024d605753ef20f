/** From the form of a grant to the terms that are reviewed. */
import type { Schemas } from '../api';

export type Terms = Schemas['GrantTerms'];

export type Filled = {
  dataset: string;
  project: string;
  columns: string[];
  days: number;
  purposes?: string;
  kinds?: string[];
  parties?: string;
  protections?: string[];
  epsilon?: number | null;
  epsilon_per_job?: number | null;
  min_group?: number | null;
  bundles?: boolean;
  digests?: string;
  uses?: number | null;
  automatic?: boolean;
  leaving?: number | null;
  simulated?: boolean;
  trees?: number | null;
};

const DAY = 86_400;

/** The lines of a text that say something. */
export function linesOf(text: string | undefined): string[] {
  return (text ?? '')
    .split('\n')
    .map((one) => one.trim())
    .filter(Boolean);
}

/** Which code jobs may bring: named by its digests, what a person here approves, or none. */
function codeOf({ digests, bundles }: Filled): NonNullable<Terms['bundles']> {
  const named = linesOf(digests);
  if (named.length) return named;
  return bundles ? 'person' : 'none';
}

/**
 * The rows that may leave, sealed to an enclave; to a SIMULATED one only if somebody says so.
 * What is said of an enclave without rows says nothing.
 */
function leavingOf({ leaving, simulated }: Filled): NonNullable<Terms['validation']> | null {
  return leaving ? { rows: leaving, simulated: simulated ?? false } : null;
}

/** The terms of a form: what is left empty is not named, and the agent says what that means. */
export function termsOf(form: Filled, now: number): Terms {
  return {
    dataset: form.dataset,
    project: form.project.trim(),
    columns: form.columns,
    expires: Math.floor(now) + Math.round(form.days * DAY),
    purposes: linesOf(form.purposes),
    kinds: form.kinds ?? [],
    parties: linesOf(form.parties),
    protections: (form.protections ?? []) as NonNullable<Terms['protections']>,
    epsilon: form.epsilon ?? null,
    epsilon_per_job: form.epsilon_per_job ?? null,
    min_group: form.min_group ?? null,
    bundles: codeOf(form),
    uses: form.uses ?? null,
    automatic: form.automatic ?? false,
    validation: leavingOf(form),
    own_trees: form.trees || null,
  };
}

/** A number that names one form: sent twice it makes one grant. */
export function once(): string {
  const drawn = crypto.getRandomValues(new Uint8Array(16));
  return [...drawn].map((one) => one.toString(16).padStart(2, '0')).join('');
}
