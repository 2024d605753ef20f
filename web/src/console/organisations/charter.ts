/** The charter as the centre tells it: an object of its own format, read with care. */
import type { Schemas } from '../../api/client';

export type Member = { organisation: string; name: string; key: string; signed: boolean };
export type CharterFacts = {
  version: number;
  origin: string;
  members: Member[];
  /** What became of the log: rollbacks after which it continued, changes of its key. */
  continuations: number;
  signed: number;
  /** Signatures that this version needs. */
  needed: number;
};

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** Reads what a page shows of a charter. Version 1 needs every member, a later one more than ⅔. */
export function factsOf(shown: Schemas['CharterShown']): CharterFacts {
  const listed = shown.charter['members'];
  const members = (Array.isArray(listed) ? listed : []).map((each) => {
    const one = record(each);
    const organisation = text(one['organisation']);
    return {
      organisation,
      name: text(one['name']),
      key: text(one['key']),
      signed: organisation in shown.signatures,
    };
  });
  const continued = shown.charter['continuations'];
  const version = Number(shown.charter['version']) || 0;
  return {
    version,
    origin: text(shown.charter['origin']),
    members,
    continuations: Array.isArray(continued) ? continued.length : 0,
    signed: members.filter((one) => one.signed).length,
    needed: version === 1 ? members.length : Math.floor((2 * members.length) / 3) + 1,
  };
}
