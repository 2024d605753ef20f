/** How everything looks: one accent; green, amber and red only for states. */
import { theme as antd, type ThemeConfig } from 'antd';
import { useCallback, useSyncExternalStore } from 'react';
import { usePreferences, type Density } from './preferences';

/** Meanings that have a colour of their own. */
export const MEANINGS = {
  light: { sealed: '#6b2fbf', masked: '#1f5eff', owner: '#0b6b5d' },
  dark: { sealed: '#b794f6', masked: '#7ba6ff', owner: '#4fd1b8' },
} as const;

const TOKENS = {
  light: {
    colorPrimary: '#1f5eff',
    colorPrimaryHover: '#1a50d8', // white on it is read under the pointer too
    colorLink: '#1a50d8',
    colorInfo: '#1a50d8',
    colorInfoBg: '#eaf0fe',
    colorSuccess: '#1b7f3b',
    colorSuccessBg: '#e9f6ed',
    colorSuccessBorder: '#a5d6b4',
    colorWarning: '#8a5200',
    colorWarningBg: '#fdf3e0',
    colorWarningBorder: '#ecc98a',
    colorError: '#c4211f',
    colorErrorHover: '#a81a18',
    colorErrorBg: '#fdeeee',
    colorErrorBorder: '#f0b4b3',
    colorText: '#1b2130',
    colorTextSecondary: '#4a5468',
    colorTextTertiary: '#5b6478',
    colorTextDescription: '#5b6478',
    colorTextPlaceholder: '#667085',
    colorBgLayout: '#f4f6fa',
  },
  dark: {
    colorPrimary: '#7ba6ff',
    colorLink: '#8fb4ff',
    colorLinkHover: '#b3ccff',
    colorSuccess: '#5cc97e',
    colorWarning: '#e0a94a',
    colorError: '#ff8a85',
    colorTextSecondary: '#b7bfcc',
    colorTextTertiary: '#a4adbd',
    colorTextDescription: '#a4adbd',
    colorTextPlaceholder: '#98a2b3',
    colorTextLightSolid: '#0b1020',
  },
} as const;

/** The theme of antd for a light or dark page, dense or not. */
export function themeOf(dark: boolean, density: Density): ThemeConfig {
  const algorithms = [dark ? antd.darkAlgorithm : antd.defaultAlgorithm];
  if (density === 'compact') algorithms.push(antd.compactAlgorithm);
  return {
    algorithm: algorithms,
    token: {
      ...(dark ? TOKENS.dark : TOKENS.light),
      borderRadius: 6,
      fontFamily:
        'system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif',
      fontFamilyCode: 'ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace',
      motion: !still(),
      opacityLoading: 1, // what waits turns a wheel; its text stays as readable as before
    },
    components: { Layout: { headerHeight: 52, headerPadding: '0 20px' } },
  };
}

function asked(query: string): MediaQueryList | null {
  return typeof matchMedia === 'undefined' ? null : matchMedia(query);
}

function still(): boolean {
  return asked('(prefers-reduced-motion: reduce)')?.matches ?? false;
}

/** Whether a query of the browser's matches now. */
function useMatches(wanted: string): boolean {
  const watch = useCallback(
    (changed: () => void) => {
      const query = asked(wanted);
      query?.addEventListener('change', changed);
      return () => query?.removeEventListener('change', changed);
    },
    [wanted],
  );
  return useSyncExternalStore(watch, () => asked(wanted)?.matches ?? false);
}

/** Whether the page is drawn for paper now: then nothing is scrolled, and nothing left out. */
export function usePrinting(): boolean {
  return useMatches('print');
}

/** Whether the page is dark now: as preferred, else as the system is; paper is white. */
export function useDark(): boolean {
  const system = useMatches('(prefers-color-scheme: dark)');
  const printing = usePrinting();
  const { theme } = usePreferences();
  return !printing && (theme === 'system' ? system : theme === 'dark');
}
