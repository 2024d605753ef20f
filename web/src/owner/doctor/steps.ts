/** The doctor's checks as steps on the way to the centre, and all others. */
import type { Schemas } from '../api';

export type Check = Schemas['Check'];
export type StepState = 'ok' | 'failed' | 'skipped';
export type Step = { name: StepName; state: StepState; check: Check | null };

/** The way of a message, in its order; each has the name of the doctor's check. */
export const STEPS = [
  'name',
  'connection',
  'TLS',
  'certificate',
  'clock',
  'version',
  'charter',
  'attestation',
] as const;
export type StepName = (typeof STEPS)[number];

/** The steps; one that was left out depends on another that failed. */
export function stepsOf(checks: readonly Check[]): Step[] {
  return STEPS.map((name) => {
    const check = checks.find((one) => one.check === name) ?? null;
    return { name, state: check === null ? 'skipped' : check.ok ? 'ok' : 'failed', check };
  });
}

/** The checks that are no step, those that failed first. */
export function othersOf(checks: readonly Check[]): Check[] {
  const rest = checks.filter((one) => !STEPS.some((name) => name === one.check));
  return [...rest.filter((one) => !one.ok), ...rest.filter((one) => one.ok)];
}

/** The place of the step to look at: the first that failed; -1 if none did. */
export function firstBroken(steps: readonly Step[]): number {
  return steps.findIndex((one) => one.state === 'failed');
}

/** The command that a hint names, to be copied; empty for none. */
export function commandIn(hint: string): string {
  const found = /secureflow [a-z][^\n]*/.exec(hint)?.[0] ?? '';
  return found.replace(/[.。，,;]?\s*$/, '');
}
