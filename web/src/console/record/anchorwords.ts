/** Kinds of places and of deeds in words; one that is not known stands as it is. */
import { useTexts } from '../../shared/i18n';

export function useMake(): (make: string) => string {
  const { t, has } = useTexts('anchors');
  return (make) => (has(`anchors:make.${make}`) ? t(`anchors:make.${make}`) : make);
}

export function useDeedName(): (kind: string) => string {
  const { t, has } = useTexts('anchors');
  return (kind) => (has(`anchors:deed.${kind}`) ? t(`anchors:deed.${kind}`) : kind);
}

export function useResult(): (result: string) => string {
  const { t, has } = useTexts('anchors');
  return (result) => (has(`anchors:result.${result}`) ? t(`anchors:result.${result}`) : result);
}
