/** Where this page is served, as its server wrote into it. */

function meta(selector: string): HTMLMetaElement | null {
  return typeof document === 'undefined' ? null : document.querySelector<HTMLMetaElement>(selector);
}

/** The path under which a proxy publishes the service, such as `/secureflow`; mostly empty. */
export function prefix(): string {
  const said = meta('meta[name="secureflow-prefix"]')?.content ?? '';
  return /^(\/[A-Za-z0-9._~-]+)*$/.test(said) ? said : '';
}

/** The nonce that the content policy of this very answer allows for styles. */
export function nonce(): string | undefined {
  return meta('meta[property="csp-nonce"]')?.nonce || undefined;
}

/**
 * Gives the nonce to every style that the page's own program makes: a few parts of antd (which
 * lock the scrolling behind a dialog) do not ask for it.
 */
export function allowOwnStyles(): void {
  const policy = nonce();
  if (!policy) return;
  document.createElement = new Proxy(document.createElement, {
    apply(make: Document['createElement'], self: Document, args: [string, ElementCreationOptions?]) {
      const made = Reflect.apply(make, self, args);
      if (made instanceof HTMLStyleElement) made.nonce = policy;
      return made;
    },
  });
}

/** The address that requests start with. */
export function origin(): string {
  return typeof location === 'undefined' ? 'http://localhost' : location.origin;
}
