/** What a form need not ask, for there is but one answer. */
type Project = { id: string; purpose: string; closed?: number | null };

export type Beginning = { project?: string | undefined; purpose?: string | undefined };

/** The project that is chosen in the header; else the only open one. */
export function beginning(projects: readonly Project[], chosen: string): Beginning {
  const open = projects.filter((one) => !one.closed);
  const found = projects.find((one) => one.id === chosen) ?? (open.length === 1 ? open[0] : undefined);
  return found ? { project: found.id, purpose: found.purpose } : {};
}

/** The datasets of organisations that granted one only; of others one has to choose. */
export function onlyOnes(datasets: readonly { id: string; organisation: string }[]): string[] {
  const count = (name: string) => datasets.filter((one) => one.organisation === name).length;
  return datasets.filter((one) => count(one.organisation) === 1).map((one) => one.id);
}
