/** The Chinese of the Python verifier's messages, picked by `vite.verify.config.ts`. */
declare module 'virtual:catalogue' {
  const catalogue: Readonly<Record<string, string>>;
  export default catalogue;
}
