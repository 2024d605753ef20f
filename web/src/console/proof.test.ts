import { expect, test } from 'vitest';
import { Problem } from '../api/problem';
import { proofIsAskedBy, withProof } from './proof';

const wanted = () => new Problem({ status: 403, code: 'proof_required', message: '' });

test('a deed is done again after the proof', async () => {
  let proven = false;
  proofIsAskedBy(() => Promise.resolve((proven = true)));
  const deed = () => (proven ? Promise.resolve('done') : Promise.reject(wanted()));
  expect(await withProof(deed)).toBe('done');
});

test('without a proof the refusal stands, and other refusals ask for none', async () => {
  proofIsAskedBy(() => Promise.resolve(false));
  await expect(withProof(() => Promise.reject(wanted()))).rejects.toMatchObject({
    code: 'proof_required',
  });
  proofIsAskedBy(() => expect.fail('nothing to prove'));
  const other = new Problem({ status: 403, code: 'forbidden', message: '' });
  await expect(withProof(() => Promise.reject(other))).rejects.toBe(other);
});

test('a second refusal is not asked about again', async () => {
  let asked = 0;
  proofIsAskedBy(() => Promise.resolve(++asked > 0));
  await expect(withProof(() => Promise.reject(wanted()))).rejects.toBeInstanceOf(Problem);
  expect(asked).toBe(1);
});
