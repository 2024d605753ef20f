/** What waits for this organisation in a settlement; the agent decides in any case. */
import type { Schemas } from '../api';

type Row = Schemas['SettlementRow'];
type Shown = Schemas['OwnSettlement'];
const GOING = ['open', 'approved', 'disputed'];

/** Whether an organisation may still approve, or pays and receives by it now. */
export function waitingFor(one: Row, organisation: string): boolean {
  if (one.state === 'closed') return true;
  return GOING.includes(one.state) && !one.approvals.includes(organisation);
}

export type Ways = {
  approve: boolean;
  dispute: boolean;
  withdraw: boolean;
  /** What the payer still owes to whom, in minor units, beside what it said it paid. */
  pay: { organisation: string; amount: number }[];
  confirm: Shown['payments'];
};

/** What this organisation can do with a settlement now. */
export function waysOf(shown: Shown, now: number): Ways {
  const { row, organisation, payer, payments } = shown;
  const going = GOING.includes(row.state);
  const disputes = row.disputes.includes(organisation);
  const closed = row.state === 'closed';
  const left = shown.owed
    .map((one) => ({
      organisation: one.organisation,
      amount: payments
        .filter((each) => each.payee === one.organisation)
        .reduce((rest, each) => rest - each.amount, one.amount),
    }))
    .filter((one) => one.amount > 0);
  return {
    approve: going && !row.approvals.includes(organisation),
    dispute: going && !disputes && !row.withdrawn.includes(organisation) && (!row.closes || now < row.closes),
    withdraw: going && disputes,
    pay: closed && payer === organisation ? left : [],
    confirm: closed ? payments.filter((one) => one.payee === organisation && !one.confirmed) : [],
  };
}

/** Whether the centre shows the very amounts that were computed here. */
export function agrees(shown: Shown): boolean {
  return shown.digest !== '' && shown.digest === shown.centre;
}
