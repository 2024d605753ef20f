/**
 * Scores of contributions in the record of a job: who signed them, and of what
 * (`secureflow.engines.ledger.scores`).
 */

import { vouchersOf, vouching } from './authors';
import type { Bundle, Entry } from './bundle';
import { unbase64 } from './bytes';
import { digest } from './canonical';
import { FINISHED, readFinished } from './endings';
import { type Finding, finding } from './findings';
import { isObject, type Json, type JsonObject } from './json';
import { documentProblem, figuresOf, KIND, shownLine, signedParts } from './scoredocument';
import { type Signatures, signedMessage } from './signatures';
import { succeeded } from './stepoutputs';
import { about } from './story';
import { Refusal, told } from './told';

const UPDATE = 'update';

interface Judged {
  readonly failures: Finding[];
  readonly missing: Finding[];
}

/** Judge the scores of a record: of any job; it has some only if its spec asks for them. */
export async function judgeScores(
  bundle: Bundle,
  keys: ReadonlyMap<string, string>,
  report: Json,
  signatures: Signatures,
): Promise<Judged> {
  const found: Judged = { failures: [], missing: [] };
  const outcomes = succeeded(bundle).map((one) => one.get(KIND) ?? null);
  const plan = planOf(bundle.spec);
  for (const signed of outcomes) await judge(found, bundle, signed, plan, keys, signatures);
  if (isObject(report)) found.failures.push(...misreported(bundle, outcomes, report));
  return found;
}

async function judge(
  found: Judged,
  bundle: Bundle,
  signed: Json,
  plan: JsonObject | null,
  keys: ReadonlyMap<string, string>,
  signatures: Signatures,
): Promise<void> {
  const wrong = (text: string, facts = {}): void => {
    found.failures.push(finding('ends', told(text, facts)));
  };
  if (plan === null) {
    if (signed !== null) wrong("the centre's outcome holds scores that the spec asks not for");
    return;
  }
  const parts = signedParts(signed);
  if (parts === null) {
    wrong('the job succeeded without the scores that its spec asks for');
    return;
  }
  const [document, signature] = parts;
  const asked = { job: bundle.job, spec: bundle.specDigest, plan, parties: bundle.roster };
  const reason = documentProblem(document, asked);
  if (reason !== '') {
    wrong("the scores in the centre's outcome are wrong: {reason}", { reason: told(reason) });
    return;
  }
  if (!(await isSigned(bundle, document, signature, keys, signatures))) {
    wrong('no enclave that enough members of the roster vouch for signed the scores');
  }
  if (document.get('scored') === true) committed(found, bundle, document);
  found.failures.push(...endedOtherwise(bundle, digest(signed)));
}

async function isSigned(
  bundle: Bundle,
  document: JsonObject,
  signature: string,
  keys: ReadonlyMap<string, string>,
  signatures: Signatures,
): Promise<boolean> {
  const message = signedMessage(KIND, document);
  for (const [key, whose] of await vouchersOf(bundle, keys, signatures)) {
    if (whose.size < vouching(bundle)) continue;
    if (await signatures.holds(key, message, unbase64(signature, 128))) return true;
  }
  return false;
}

/** Compare the rows that were scored with those that parties committed to. */
function committed(found: Judged, bundle: Bundle, document: JsonObject): void {
  const commitments = document.get('commitments');
  for (const party of bundle.roster) {
    const scored = isObject(commitments) ? commitments.get(party) : null;
    const leaves = own(bundle, party, UPDATE);
    const rows = leaves.filter(({ document: one }) => isObject(one) && one.get(UPDATE) === scored);
    const place = rows[0] === undefined ? null : placeOf(rows[0].document);
    if (place !== null && leaves.filter((one) => placeOf(one.document) === place).length > 1) {
      const again = '{party} committed to validation rows more than once';
      found.failures.push(finding('ends', told(again, { party })));
    } else if (leaves.some((one) => !one.opened)) {
      const none = 'a leaf in which {party} commits to its rows comes without its document';
      found.missing.push(finding('ends', told(none, { party })));
    } else if (rows.length === 0) {
      const other = '{party} committed to no such validation rows as were scored';
      found.failures.push(finding('ends', told(other, { party })));
    }
  }
}

/** Return what names round and stage of an opened leaf; '' of another. */
function placeOf(document: Json): string {
  if (!isObject(document)) return '';
  return digest([document.get('round') ?? null, document.get('stage') ?? null]);
}

function endedOtherwise(bundle: Bundle, scores: string): Finding[] {
  const other =
    "{title}: {name} ended the job with other scores than the centre's outcome holds";
  return bundle.roster.flatMap((party) =>
    own(bundle, party, FINISHED)
      .filter(({ document }) => !['', scores].includes(readFinished(document)?.scores ?? ''))
      .map((entry) => about('ends', entry, other, { name: party })),
  );
}

function own({ job, entries }: Bundle, party: string, kind: string): Entry[] {
  return entries.filter(
    ({ signed: { leaf } }) => leaf.job === job && leaf.author === party && leaf.kind === kind,
  );
}

function planOf(spec: JsonObject): JsonObject | null {
  const plan = spec.get('plan');
  const asked = isObject(plan) ? plan.get(KIND) : null;
  return isObject(asked) ? asked : null;
}

function misreported(bundle: Bundle, outcomes: readonly Json[], report: JsonObject): Finding[] {
  const found: Finding[] = [];
  for (const recorded of outcomes) {
    if (same(report.get(KIND) ?? null, recorded)) continue;
    found.push(finding('report', told('the report tells other scores than the record')));
  }
  const scores = signedParts(outcomes[0] ?? null)?.[0].get('scores');
  const lines = linesOf(bundle, report);
  for (const party of bundle.roster) {
    const figures = isObject(scores) ? figuresOf(scores.get(party) ?? null) : null;
    const right = figures === null ? null : shownLine(figures);
    const shown = lines.filter(([one]) => one === party).map(([, line]) => line);
    const wrong = shown.some((line) => right?.every((one, place) => one === line[place]) !== true);
    // A line of another form is none, and a reader takes it for one: the right one must be there.
    if (!wrong && (right === null || shown.length > 0)) continue;
    const other = 'the report shows other scores of {party} than the record';
    found.push(finding('report', told(other, { party })));
  }
  return found;
}

function same(one: Json, other: Json): boolean {
  try {
    return digest(one) === digest(other);
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

/** Return the lines of a foreign report that show a party with three values, as scores are. */
function linesOf(bundle: Bundle, report: JsonObject): [string, readonly Json[]][] {
  const rows = members(report, 'sections').flatMap((section) => members(section, 'rows'));
  return rows.flatMap((row): [string, readonly Json[]][] => {
    const [label, value] = [row.get('label'), row.get('value')];
    if (typeof label !== 'string' || !bundle.roster.includes(label)) return [];
    return Array.isArray(value) && isScore(value) ? [[label, value]] : [];
  });
}

function isScore(value: readonly Json[]): boolean {
  const [, interval] = value;
  return value.length === 3 && typeof interval === 'string' && interval.startsWith('[');
}

function members(value: JsonObject, name: string): JsonObject[] {
  const listed = value.get(name);
  return Array.isArray(listed) ? listed.filter((one) => isObject(one)) : [];
}
