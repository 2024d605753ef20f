import { Button, Flex, Tag } from 'antd';
import { useTexts } from '../../shared/i18n';
import { useDrawing } from './drawing';
import { dotted, type Path } from './json';

/** What comes from another step, where one could also name something that is there already. */
export function Taken({ path, from }: { path: Path; from: string }) {
  const { t } = useTexts('canvas');
  const { edges, steps, disconnect } = useDrawing();
  const edge = edges.find((one) => {
    const step = steps.find((each) => each.id === one.to);
    return step !== undefined && dotted([...step.path, ...one.path]) === dotted(path);
  });
  return (
    <Flex gap="small" align="center">
      <Tag>{t('canvas:taken', { step: from })}</Tag>
      {edge ? (
        <Button size="small" onClick={() => disconnect(edge)}>
          {t('canvas:disconnect')}
        </Button>
      ) : null}
    </Flex>
  );
}
