import { expect, test } from 'vitest';
import { read, written } from './files';

test('a job file is read and written', async () => {
  const job = { kind: 'pipeline', name: 'risk', steps: [{ id: 'a', kind: 'statistics' }] };
  expect(await read(await written(job))).toEqual(job);
  expect(await read('kind: psi\na: &a [1]\nb: *a\n')).toEqual({ kind: 'psi', a: [1], b: [1] });
});

function repeated(levels: number): string {
  const lines = ['kind: psi', 'x0: &x0 [1]'];
  for (let at = 1; at < levels; at += 1) {
    lines.push(`x${at}: &x${at} [${Array<string>(10).fill(`*x${at - 1}`).join()}]`);
  }
  return lines.join('\n');
}

test('a file that stands for more than the centre reads is refused, and is not kept', async () => {
  const steps = Array<string>(65).fill('{id: a, kind: statistics}').join();
  const refused = [
    repeated(12),
    'kind: psi\na: &a [*a]',
    `kind: psi\na: ${'['.repeat(40)}${']'.repeat(40)}`,
    `kind: pipeline\nsteps: [${steps}]`,
    'kind: [psi]',
    '- kind: psi',
  ];
  for (const one of refused) await expect(read(one), one.slice(0, 40)).rejects.toThrow();
});
