/** What a member decides about a settlement, and with which command: each decision is its agent's. */
import type { Schemas } from '../../api/client';

export type Settlement = Schemas['SettlementView'];
export type What = 'approve' | 'dispute' | 'withdraw' | 'pay' | 'confirm';
export type Step = { what: What; command: string; who?: string; amount?: number };

const AGENT = 'secureflow agent settlement';
const GOING = new Set(['open', 'approved', 'disputed']);

/** What an organisation can still do; empty for one that is no member of the agreement. */
export function stepsFor(one: Settlement, organisation: string, now: number): Step[] {
  if (!one.members?.some((each) => each.organisation === organisation)) return [];
  const steps: Step[] = [];
  const approved = one.approvals?.some((each) => each.organisation === organisation && each.equal);
  const disputes = one.disputes?.filter((each) => each.organisation === organisation) ?? [];
  if (GOING.has(one.state)) {
    if (!approved) steps.push({ what: 'approve', command: `${AGENT} approve ${one.id}` });
    if (disputes.some((each) => !each.withdrawn)) {
      steps.push({ what: 'withdraw', command: `${AGENT} withdraw ${one.id}` });
    } else if (!disputes.length && (typeof one.closes !== 'number' || now < one.closes)) {
      steps.push({ what: 'dispute', command: `${AGENT} dispute ${one.id} --reason "…"` });
    }
  }
  if (one.state === 'closed') steps.push(...paying(one, organisation));
  return steps;
}

function paying(one: Settlement, organisation: string): Step[] {
  const open = (one.payments ?? []).filter((each) => typeof each.confirmed !== 'number');
  const confirm = open
    .filter((each) => each.payee === organisation)
    .map((each) => ({
      what: 'confirm' as const,
      who: each.payer,
      amount: each.amount,
      command: `${AGENT} confirm ${one.id} --payer ${each.payer} --reference ${each.reference}`,
    }));
  if (one.payer !== organisation) return confirm;
  const pay = (one.members ?? [])
    .map((each) => ({ who: each.organisation, amount: dueTo(one, each.organisation) }))
    .filter((each) => each.who !== organisation && each.amount > 0)
    .map((each) => ({
      what: 'pay' as const,
      ...each,
      command: `${AGENT} pay ${one.id} --payee ${each.who} --amount ${each.amount} --reference "…"`,
    }));
  return [...pay, ...confirm];
}

/** What is owed to a member and not stated to be paid yet. */
export function dueTo(one: Settlement, organisation: string): number {
  const owed = one.members?.find((each) => each.organisation === organisation)?.owed ?? 0;
  const stated = (one.payments ?? [])
    .filter((each) => each.payee === organisation && typeof each.confirmed !== 'number')
    .reduce((sum, each) => sum + each.amount, 0);
  return Math.max(0, owed - stated);
}

/** Whether a settlement's window is over, so that a lead of the project may close it. */
export function closable(one: Settlement, now: number): boolean {
  return one.state === 'approved' && typeof one.closes === 'number' && one.closes <= now;
}

/** Where a statement of a settlement is, for one organisation. */
export function statementAt(
  prefix: string,
  settlement: string,
  form: 'html' | 'csv' | 'json',
  organisation: string,
  lang: string,
): string {
  const query = new URLSearchParams({ organisation });
  if (form !== 'csv') for (const [name, value] of Object.entries({ format: form, lang })) query.set(name, value);
  const file = form === 'csv' ? 'statement.csv' : 'statement';
  return `${prefix}/api/v1/settlements/${encodeURIComponent(settlement)}/${file}?${query.toString()}`;
}
