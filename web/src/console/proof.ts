/**
 * Deeds that need a recent proof of identity: the server says so, the dialog asks for it, and the
 * deed is done again.
 */
import { asProblem } from '../api/problem';

type Ask = () => Promise<boolean>;

let ask: Ask = () => Promise.resolve(false);

/** Says who asks for a proof; it answers whether one was given. */
export function proofIsAskedBy(asking: Ask): void {
  ask = asking;
}

/** Does something; once more where the server wants a proof of identity first. */
export async function withProof<T>(deed: () => Promise<T>): Promise<T> {
  try {
    return await deed();
  } catch (error) {
    if (asProblem(error).code !== 'proof_required' || !(await ask())) throw error;
    return deed();
  }
}
