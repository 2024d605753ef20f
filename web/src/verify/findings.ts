/** What the checks find, in the order in which the Python verifier tells it. */

import type { Told } from './told';

export const SERVER = 'server';
export const ENCLAVE = 'enclave';

/** The checks, in the order in which they are shown. */
export const CHECKS = [
  'format', 'job', 'spec', 'charter', 'order', 'inclusion', 'documents', 'chains', 'approvals',
  'ends', 'report', 'held', 'endedKey', 'signatures', 'head', 'roster', 'cosignatures', 'accusations', 'anchors',
] as const;
export type CheckId = (typeof CHECKS)[number];

/** One fault, or one missing part, and the check that found it. */
export interface Finding {
  readonly check: CheckId;
  readonly told: Told;
}

/** Return a finding. */
export function finding(check: CheckId, told: Told): Finding {
  return { check, told };
}
