/**
 * What parties signed of the steps of a pipeline, and what the record may say of them then
 * (`secureflow.engines.ledger.stepoutputs`).
 */

import type { Bundle, Entry } from './bundle';
import { digest } from './canonical';
import { OUTCOME } from './ends';
import { type Finding, finding, SERVER } from './findings';
import { type Gate, gatesOf, type Metrics, metricsOf, skippedBy } from './gates';
import { isObject, type Json, type JsonObject } from './json';
import { about } from './story';
import { told } from './told';

const STEP = 'step';
const PART = 'job.part';
const SKIPPED = 'skipped';

/** The steps of a bundle's job, as its spec has them and its parties signed them. */
export class SignedSteps {
  readonly gates: readonly Gate[];
  private readonly readable: boolean;
  /** Of each part, the first leaf in which a party signed its outputs. */
  private readonly first = new Map<number, Entry>();

  constructor(private readonly bundle: Bundle) {
    const gates = gatesOf(bundle.spec);
    this.readable = gates !== null;
    this.gates = gates ?? [];
    for (const entry of this.own(STEP)) {
      const number = numberOf(entry);
      if (number !== null && !this.first.has(number)) this.first.set(number, entry);
    }
  }

  /** Return the figures that were signed of a part; undefined if nothing was signed of it. */
  readonly signed = (number: number): Metrics | undefined => {
    const entry = this.first.get(number);
    return entry === undefined ? undefined : (this.figures(number) ?? []);
  };

  /** Return the figures that were signed of a part, if any were. */
  figures(number: number): Metrics | null {
    const entry = this.first.get(number);
    const outputs = entry === undefined ? null : outputsOf(entry);
    return metricsOf(isObject(outputs) ? (outputs.get('metrics') ?? null) : null);
  }

  /** Return what contradicts: between parties, and between them and the centre. */
  failures(): Finding[] {
    const found = this.differing();
    if (!this.readable) {
      return [...found, finding('ends', told('the steps of the spec cannot be read'))];
    }
    const skipped = skippedBy(this.gates, this.signed);
    found.push(...this.misjudged(skipped));
    if (this.closed.length === 0) found.push(...this.leftOut(skipped));
    return found;
  }

  /** Return what is there without its document. */
  missing(): Finding[] {
    return this.closed.map((entry) =>
      about('ends', entry, '{title}: the outcome of a step comes without its document'),
    );
  }

  private get closed(): Entry[] {
    if (this.gates.length === 0) return [];
    return [STEP, PART].flatMap((kind) => this.own(kind)).filter((one) => !one.opened);
  }

  private own(kind: string): Entry[] {
    const { job, roster, entries } = this.bundle;
    const authors = kind === STEP ? roster : [SERVER];
    return entries.filter(
      ({ signed: { leaf } }) =>
        leaf.job === job && leaf.kind === kind && authors.includes(leaf.author),
    );
  }

  private differing(): Finding[] {
    const found: Finding[] = [];
    const differ = '{title}: {name} signed other outputs of part {number} than {other}';
    for (const entry of this.own(STEP)) {
      const number = numberOf(entry);
      const other = number === null ? undefined : this.first.get(number);
      if (number === null || other === undefined) continue;
      if (digest(outputsOf(entry)) === digest(outputsOf(other))) continue;
      const facts = { name: entry.signed.leaf.author, number, other: other.signed.leaf.author };
      found.push(about('ends', entry, differ, facts));
    }
    return found;
  }

  private misjudged(skipped: ReadonlySet<string>): Finding[] {
    const steps = new Set(this.gates.map((gate) => gate.step));
    const found: Finding[] = [];
    for (const entry of steps.size > 0 ? this.own(PART) : []) {
      if (!entry.opened) continue;
      const document = isObject(entry.document) ? entry.document : new Map<string, Json>();
      const [step, left] = [document.get('step'), document.get('outcome') === SKIPPED];
      if (typeof step !== 'string' || !steps.has(step)) {
        found.push(about('ends', entry, '{title}: it names no step of the spec'));
      } else if (left && !skipped.has(step)) {
        const ran =
          '{title}: step {step} is told to be skipped, and by what parties signed it is not';
        found.push(about('ends', entry, ran, { step }));
      } else if (!left && skipped.has(step)) {
        const not = '{title}: step {step} ran, and by what parties signed it is skipped';
        found.push(about('ends', entry, not, { step }));
      }
    }
    return found;
  }

  private leftOut(skipped: ReadonlySet<string>): Finding[] {
    if (succeeded(this.bundle).length === 0) return [];
    const without = 'the job succeeded without its step {step}, which was not to be skipped';
    return this.gates
      .filter(({ step, numbers }) => !skipped.has(step) && !numbers.some((one) => this.first.has(one)))
      .map(({ step }) => finding('ends', told(without, { step })));
  }
}

/** Return the documents in which the centre says that the job succeeded. */
export function succeeded({ job, entries }: Bundle): JsonObject[] {
  return entries.flatMap(({ signed: { leaf }, document }) => {
    const ours = leaf.job === job && leaf.author === SERVER && leaf.kind === OUTCOME;
    return ours && isObject(document) && document.get('outcome') === 'succeeded' ? [document] : [];
  });
}

function numberOf({ document }: Entry): number | null {
  const number = isObject(document) ? document.get('number') : null;
  return typeof number === 'number' ? number : null;
}

function outputsOf({ document }: Entry): Json {
  return isObject(document) ? (document.get('outputs') ?? null) : null;
}
