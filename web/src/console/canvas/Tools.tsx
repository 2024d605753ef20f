import {
  DiffOutlined,
  DownloadOutlined,
  FileOutlined,
  RedoOutlined,
  SnippetsOutlined,
  UndoOutlined,
  UploadOutlined,
} from '@ant-design/icons';
import { App, Button, Segmented, Space } from 'antd';
import { useRef } from 'react';
import { useTexts } from '../../shared/i18n';
import { opened, reason, saveAs, written } from './files';
import css from './Canvas.module.css';
import type { useDraft } from './useDraft';

export type View = 'drawing' | 'list' | 'file';
type Props = {
  draft: ReturnType<typeof useDraft>;
  view: View;
  look: (view: View) => void;
  compare: () => void;
  template: () => void;
};

/** Above the graph: how it is looked at, back and forward, files, comparison. */
export function Tools({ draft, view, look, compare, template }: Props) {
  const { t } = useTexts('canvas');
  const { message, modal } = App.useApp();
  const file = useRef<HTMLInputElement>(null);
  const open = async (chosen: File | undefined) => {
    if (!chosen) return;
    try {
      draft.begin(await opened(chosen), chosen.name);
    } catch (error) {
      message.error(t('canvas:file.wrong', { name: chosen.name, why: reason(error, t) }));
    }
  };
  const download = async () => {
    const name = typeof draft.request['name'] === 'string' ? draft.request['name'] : '';
    const plain = name.replace(/[^\p{L}\p{N}-]+/gu, '-').replace(/^-|-$/g, '');
    saveAs(`${plain || 'job'}.yaml`, await written(draft.request));
  };
  const empty = () =>
    modal.confirm({
      title: t('canvas:new.ask'),
      content: t('canvas:new.hint'),
      okText: t('canvas:new'),
      cancelText: t('canvas:cancel'),
      onOk: () => {
        const { project } = draft.request;
        draft.begin(project === undefined ? {} : { project }, '');
      },
    });
  return (
    <div className={css['tools']} role="toolbar" aria-label={t('canvas:tools')}>
      <Segmented<View>
        value={view}
        onChange={look}
        aria-label={t('canvas:view')}
        options={[
          { value: 'drawing', label: t('canvas:view.drawing') },
          { value: 'list', label: t('canvas:view.list') },
          { value: 'file', label: t('canvas:view.file') },
        ]}
      />
      <Space.Compact>
        <Button
          icon={<UndoOutlined />}
          disabled={!draft.past.length}
          onClick={draft.undo}
          aria-label={t('canvas:undo')}
          title={t('canvas:undo')}
        />
        <Button
          icon={<RedoOutlined />}
          disabled={!draft.next.length}
          onClick={draft.redo}
          aria-label={t('canvas:redo')}
          title={t('canvas:redo')}
        />
      </Space.Compact>
      <Button
        icon={<SnippetsOutlined />}
        onClick={template}
      >
        {t('canvas:template')}
      </Button>
      <Button
        icon={<UploadOutlined />}
        onClick={() => file.current?.click()}
        aria-label={t('canvas:file.open')}
        title={t('canvas:file.open')}
      />
      <input
        ref={file}
        type="file"
        hidden
        accept=".yaml,.yml,.json"
        aria-label={t('canvas:file.open')}
        onChange={(event) => {
          void open(event.target.files?.[0]);
          event.target.value = '';
        }}
      />
      <Button
        icon={<DownloadOutlined />}
        onClick={() => void download()}
        disabled={!draft.request['kind']}
        aria-label={t('canvas:file.save')}
        title={t('canvas:file.save')}
      />
      <Button
        icon={<DiffOutlined />}
        onClick={compare}
        aria-label={t('canvas:compare')}
        title={t('canvas:compare')}
      />
      <Button
        icon={<FileOutlined />}
        onClick={empty}
        disabled={!draft.request['kind']}
        aria-label={t('canvas:new')}
        title={t('canvas:new')}
      />
    </div>
  );
}
