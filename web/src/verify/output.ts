/** Whose signed ends name a file as the model of a record's job. */

import type { Bundle } from './bundle';
import { FINISHED, readFinished } from './endings';

/**
 * Return the parties of the roster whose ends of this very job name a model. An entry of another
 * job, or of another kind, may hold such a document as well: its author alone chooses what is in it.
 */
export function namedBy(bundle: Bundle, model: string): string[] {
  const found = bundle.entries.filter(({ signed: { leaf }, opened, opens, document }) => {
    const end = leaf.job === bundle.job && leaf.kind === FINISHED;
    const ours = end && bundle.roster.includes(leaf.author);
    return ours && opened && opens && readFinished(document)?.model === model;
  });
  return [...new Set(found.map((one) => one.signed.leaf.author))].sort();
}
