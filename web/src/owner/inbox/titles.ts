/** What a request is called: by its job's name, and what it is for. */

type Named = { name: string; purpose: string; job?: string; id: string };

/** The name and the purpose, or what there is of them. */
export function titleOf({ name, purpose, job, id }: Named): string {
  const told = [...new Set([name, purpose].filter(Boolean))];
  return told.join(' · ') || job || id;
}
