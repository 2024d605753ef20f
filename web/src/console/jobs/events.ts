/**
 * What a job's events tell: curves, who is where, who dropped out, the log.
 *
 * Events are those of `GET /jobs/{key}/history` and of the stream; the same id never counts twice.
 */
export type JobEvent = { id: number; kind: string; at: number; data: Record<string, unknown> };
export type Round = { round: number; figures: Record<string, number> };
export type Lane = { party: string; state: string; reason: string; at: number };
export type Drop = { party: string; round: number; stage: string; code: string; reason: string };

const NO_FIGURE = new Set(['round', 'rounds', 'survivors', 'seconds', 'generation', 'at']);

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Adds events to those that are known, in the order of their ids, each once. */
export function merged(known: readonly JobEvent[], more: readonly JobEvent[]): JobEvent[] {
  const last = known.at(-1)?.id ?? 0;
  if (more.every((one, at) => one.id > (more[at - 1]?.id ?? last))) return [...known, ...more];
  const all = new Map([...known, ...more].map((one) => [one.id, one]));
  return [...all.values()].sort((a, b) => a.id - b.id);
}

/** Reads an event that the stream brought; null for what is none. */
export function eventOf(value: unknown): JobEvent | null {
  if (typeof value !== 'object' || value === null) return null;
  const { id, kind, at, data } = value as Record<string, unknown>;
  if (typeof id !== 'number' || typeof kind !== 'string') return null;
  const known = typeof data === 'object' && data !== null;
  return {
    id,
    kind,
    at: typeof at === 'number' ? at : 0,
    data: known ? (data as Record<string, unknown>) : {},
  };
}

/** The figures of each round; one that came again (after a crash) counts as it came last. */
export function roundsOf(events: readonly JobEvent[]): Round[] {
  const rounds = new Map<number, Round>();
  for (const { kind, data } of events) {
    const round = data['round'];
    if (kind !== 'round' || typeof round !== 'number') continue;
    const figures = Object.entries(data).filter(
      (entry): entry is [string, number] =>
        !NO_FIGURE.has(entry[0]) && typeof entry[1] === 'number' && Number.isFinite(entry[1]),
    );
    rounds.set(round, { round, figures: Object.fromEntries(figures) });
  }
  return [...rounds.values()].sort((a, b) => a.round - b.round);
}

/** How many rounds are planned, by the newest event that says so; 0 if none does. */
export function plannedOf(events: readonly JobEvent[]): number {
  for (const { kind, data } of [...events].reverse()) {
    const planned = data['rounds'];
    if (kind === 'round' && typeof planned === 'number') return planned;
  }
  return 0;
}

/** Those who dropped out, in order. */
export function dropsOf(events: readonly JobEvent[]): Drop[] {
  return events.flatMap(({ kind, data }) => {
    const listed = data['dropouts'];
    if (kind !== 'dropouts' || !Array.isArray(listed)) return [];
    return listed.flatMap((one: unknown) => {
      if (typeof one !== 'object' || one === null) return [];
      const each = one as Record<string, unknown>;
      return [
        {
          party: text(each['party']),
          round: Number(each['round']) || 0,
          stage: text(each['stage']),
          code: text(each['code']),
          reason: text(each['reason']),
        },
      ];
    });
  });
}

/** Where each party is: what was told of it last, and why where it is out. */
export function lanesOf(parties: readonly string[], events: readonly JobEvent[]): Lane[] {
  const lanes = new Map(
    parties.map((party) => [party, { party, state: 'asked', reason: '', at: 0 }]),
  );
  const set = (party: string, state: string, reason: string, at: number) => {
    if (lanes.has(party)) lanes.set(party, { party, state, reason, at });
  };
  for (const { kind, data, at } of events) {
    if (kind === 'party') set(text(data['party']), text(data['state']), '', at);
    if (kind === 'waiting') waits(data['waiting'], set, at);
    if (kind === 'round') contributed(data, set, at);
    if (kind === 'error') refused(data, set, at);
    if (kind === 'dropouts') {
      for (const one of dropsOf([{ id: 0, kind, at, data }])) set(one.party, 'out', one.reason, at);
    }
  }
  return [...lanes.values()];
}

type SetLane = (party: string, state: string, reason: string, at: number) => void;

function waits(value: unknown, set: SetLane, at: number): void {
  if (!Array.isArray(value)) return;
  for (const one of value as Record<string, unknown>[]) {
    set(text(one?.['party']), 'waits', text(one?.['message']), Number(one?.['since']) || at);
  }
}

function contributed(data: Record<string, unknown>, set: SetLane, at: number): void {
  const { parties } = data;
  if (!Array.isArray(parties)) return;
  for (const party of parties) set(text(party), 'contributed', '', at);
}

function refused(data: Record<string, unknown>, set: SetLane, at: number): void {
  const details = data['details'] as Record<string, unknown> | undefined;
  const listed = details?.['refusals'];
  if (!Array.isArray(listed)) return;
  for (const one of listed as Record<string, unknown>[]) {
    const reason = text(one?.['reason']) || text(one?.['message']);
    set(text(one?.['party']), one?.['refused'] ? 'refused' : 'silent', reason, at);
  }
}
