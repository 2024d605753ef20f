import { expect, test } from 'vitest';
import { Unfit } from './bounds';
import { opened, read, written } from './files';
import { asText, stepIn } from './useKeys';

async function why(text: string): Promise<string> {
  return read(text).then(
    () => '',
    (error: unknown) => (error instanceof Unfit ? `${error.why} ${JSON.stringify(error.facts)}` : 'defect'),
  );
}

test('a job file is read as YAML and as JSON', async () => {
  expect(await read('kind: statistics\nname: rows')).toEqual({ kind: 'statistics', name: 'rows' });
  expect(await read('{"kind": "psi", "__proto__": {"x": 1}}')).not.toHaveProperty('x');
});

test('a job file that was written is read again, repeated values too', async () => {
  const job = { kind: 'pipeline', name: 'risk', steps: [{ id: 'a', kind: 'statistics' }] };
  expect(await read(await written(job))).toEqual(job);
  expect(await read('kind: psi\na: &a [1]\nb: *a\n')).toEqual({ kind: 'psi', a: [1], b: [1] });
});

test('what is cut off, huge, nested or no job is refused with its reason', async () => {
  expect(await why('kind: statistics\nqueries: [{name: x')).toMatch(/^text .*line/);
  expect(await why('kind: a\nname: "')).toContain('text');
  expect(await why('')).toContain('job');
  expect(await why('- kind: a')).toContain('job');
  expect(await why(`kind: a\nname: ${'x'.repeat(1_000_001)}`)).toContain('large');
  expect(await why(`{"kind": "a", "x": ${'['.repeat(5000)}${']'.repeat(5000)}}`)).toMatch(/values|text/);
  expect(await why(`kind: a\nx: [${'1,'.repeat(60_000)}]`)).toContain('values');
  expect(await why(`kind: pipeline\nsteps: [${'{kind: psi},'.repeat(1000)}]`)).toBe(
    'steps {"count":1000}',
  );
});

test('a few lines that stand for millions of values cost nothing', async () => {
  const lines = ['kind: a', 'x0: &x0 [1,1,1,1,1,1,1,1,1]'];
  for (let at = 1; at < 12; at += 1) {
    lines.push(`x${at}: &x${at} [${`*x${at - 1},`.repeat(9)}]`);
  }
  expect(await why(lines.join('\n'))).toMatch(/values|text/);
  expect(await why('kind: psi\na: &a [*a]')).toMatch(/values|text/);
});

test('a huge file is not read at all', async () => {
  let asked = false;
  const file = { size: 3e9, text: async () => ((asked = true), '') } as unknown as File;
  await expect(opened(file)).rejects.toThrow(Unfit);
  expect(asked).toBe(false);
});

test('what was copied elsewhere is bounded too', () => {
  expect(stepIn(asText({ kind: 'psi' }))).toEqual({ kind: 'psi' });
  expect(stepIn(`{"secureflow-step": {"kind": "a", "x": [${'1,'.repeat(60_000)}1]}}`)).toBeNull();
  expect(stepIn(asText({ kind: 'a', name: 'x'.repeat(1_000_001) }))).toBeNull();
});
