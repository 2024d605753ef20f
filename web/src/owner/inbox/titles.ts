/** What a request is called: by its job's name, and what it is for. */

type Named = { name: string; purpose: string; job?: string; id: string };

/** The job's name and what kind it is: the title of a request's own page, where its purpose stands below. */
export function headOf({ name, job, id }: Omit<Named, 'purpose'>, kind: string): string {
  return [name || job || id, kind].filter(Boolean).join(' · ');
}

/** The ids of requests that others in the list are called like. */
export function alike(rows: readonly Named[]): ReadonlySet<string> {
  const called = rows.map(titleOf);
  return new Set(rows.filter((_, at) => called.indexOf(called[at] ?? '') !== called.lastIndexOf(called[at] ?? '')).map((one) => one.id));
}

/** The name and the purpose, or what there is of them. */
export function titleOf({ name, purpose, job, id }: Named): string {
  const told = [...new Set([name, purpose].filter(Boolean))];
  return told.join(' · ') || job || id;
}
