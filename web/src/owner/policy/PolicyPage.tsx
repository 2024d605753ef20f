import { Alert, Button, Flex, Input } from 'antd';
import { useState } from 'react';
import { Link, useParams } from 'react-router';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { api, http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import { Editor } from './Editor';
import { PolicyState } from './PoliciesPage';
import { Trial } from './Trial';

type Policy = Schemas['PolicyText'];
const MOST = 131_072;
const EXAMPLES = 65_536;
const STALE = ['/api/policies', '/api/policies/{name}', '/api/inbox/{item}', '/api/activity'];

/** A policy: editing it, trying it on examples and on the inbox, and saving it. */
export default function PolicyPage() {
  const { t } = useTexts('policies');
  const { name = '' } = useParams();
  const query = api.useQuery('get', '/api/policies/{name}', { params: { path: { name } } });
  return (
    <PageFrame
      title={name}
      lead={t('policies:policy.lead')}
      extra={<Link to="/policies">{t('policies:title')}</Link>}
    >
      <Answer query={query}>
        {(now) => <Editing key={name} now={now} anew={() => query.refetch()} />}
      </Answer>
    </PageFrame>
  );
}

type Props = { now: Policy; anew: () => Promise<{ data: Policy | undefined }> };

function Editing({ now, anew }: Props) {
  const { t } = useTexts('policies');
  // What the editor began with stays: whoever saved meanwhile is not overwritten unseen.
  const [begun, begin] = useState(now);
  const [text, write] = useState(now.text);
  const [examples, setExamples] = useState('');
  const admin = useMay('owner-admin');
  const params = { path: { name: begun.file.name } };
  const trial = useDeed(async () => {
    const body = { text, examples };
    return (await http.POST('/api/policies/{name}/try', { params, body })).data!;
  });
  const save = useDeed(async () => {
    const body = { text, version: begun.file.version };
    return (await http.PUT('/api/policies/{name}', { params, body })).data!;
  }, ...STALE);
  const reread = async () => {
    const { data } = await anew();
    if (!data) return;
    begin(data);
    write(data.text);
    save.reset();
  };
  const stale = save.isError && asProblem(save.error).code === 'stale_version';
  const saves = admin && begun.file.writable;
  return (
    <Flex vertical gap="middle">
      <p>
        <PolicyState file={begun.file} /> <code>{begun.file.path}</code>{' '}
        <Id value={begun.file.version} />
      </p>
      {now.file.version !== begun.file.version && !stale ? (
        <Alert
          type="warning"
          showIcon
          title={t('policies:stale')}
          description={t('policies:stale.hint')}
          action={<Button onClick={() => void reread()}>{t('policies:reread')}</Button>}
        />
      ) : null}
      <Editor
        label={t('policies:text')}
        text={text}
        change={(next) => {
          write(next);
          if (save.isError && !stale) save.reset();
        }}
        most={MOST}
        readOnly={!saves}
      />
      <label>
        {t('policies:examples')}
        <Input.TextArea
          rows={6}
          value={examples}
          maxLength={EXAMPLES}
          spellCheck={false}
          onChange={(event) => setExamples(event.target.value)}
        />
      </label>
      <Flex gap="small" wrap>
        <Button loading={trial.isPending} onClick={() => trial.mutate(undefined)}>
          {t('policies:try')}
        </Button>
        {saves ? (
          <Button
            type="primary"
            loading={save.isPending}
            disabled={text === begun.text}
            onClick={() => save.mutate(undefined, { onSuccess: begin })}
          >
            {t('policies:save')}
          </Button>
        ) : (
          <p>{t(admin ? 'policies:readonly.hint' : 'policies:role')}</p>
        )}
      </Flex>
      <div aria-live="polite">
        {save.isError ? <Failed error={save.error} /> : null}
        {stale ? <Button onClick={() => void reread()}>{t('policies:reread')}</Button> : null}
        {save.isSuccess && text === begun.text ? (
          <Alert type="success" showIcon title={t('policies:saved')} />
        ) : null}
        {trial.isError ? <Failed error={trial.error} /> : null}
      </div>
      {trial.data ? (
        <Section title={t('policies:trial')}>
          <Trial trial={trial.data} />
        </Section>
      ) : null}
    </Flex>
  );
}
