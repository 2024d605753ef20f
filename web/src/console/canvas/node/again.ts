/**
 * The requests that jobs are asked for again with, from their specs, as "run again" makes them.
 *
 * Standard input is JSON: the `catalogue`, the `known` datasets and models, and `specs` by name.
 */
import type { Catalogue } from '../catalogue';
import { requestOf, type Known } from '../fromspec';
import type { Members } from '../json';

const chunks: Buffer[] = [];
for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
const given = JSON.parse(Buffer.concat(chunks).toString()) as {
  catalogue: Catalogue;
  known: Known;
  specs: Record<string, Members>;
};
const answers = Object.fromEntries(
  Object.entries(given.specs).map(([name, spec]) => [name, requestOf(spec, given.catalogue, given.known)]),
);
process.stdout.write(JSON.stringify(answers));
