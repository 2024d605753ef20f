import { useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Card, Descriptions, Flex, Space } from 'antd';
import { useParams } from 'react-router';
import { api, http, type Schemas } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { withProof } from '../proof';
import { useMe } from '../session';
import { AgentCards } from './AgentCards';
import { Enrolments } from './Enrolments';
import { administers, operates } from './rights';

type Organisation = Schemas['Organisation'];

/** One organisation: its agent, the tokens that enrol one, and whether it takes part. */
export default function OrganisationPage() {
  const { organisation: key = '' } = useParams();
  const { t } = useTexts('organisations');
  const query = api.useQuery('get', '/api/v1/organisations/{key}', { params: { path: { key } } });
  const me = useMe().data;
  return (
    <PageFrame
      title={query.data?.name ?? key}
      lead={<Id value={key} />}
      extra={query.data && operates(me) ? <Taking organisation={query.data} /> : null}
    >
      <Answer query={query}>
        {(one) => (
          <Flex vertical gap="middle">
            {one.disabled ? (
              <Alert
                type="warning"
                showIcon
                title={t('organisations:disabled')}
                description={t('organisations:disabled.hint')}
              />
            ) : null}
            <Card size="small">
              <Descriptions
                size="small"
                column={{ xs: 1, md: 2 }}
                items={[
                  { key: 'id', label: t('organisations:id'), children: <Id value={one.id} /> },
                  {
                    key: 'since',
                    label: t('organisations:since'),
                    children: <Moment at={one.created} />,
                  },
                ]}
              />
            </Card>
            <AgentCards organisation={one.id} />
            {administers(me, one.id) ? <Enrolments organisation={one.id} /> : null}
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

/** Ends and resumes that an organisation takes part. */
function Taking({ organisation }: { organisation: Organisation }) {
  const { t } = useTexts('organisations');
  const { modal, message } = App.useApp();
  const queries = useQueryClient();
  const path = { params: { path: { key: organisation.id } } };
  const change = async () => {
    try {
      await withProof(() =>
        organisation.disabled
          ? http.POST('/api/v1/organisations/{key}/enable', path)
          : http.POST('/api/v1/organisations/{key}/disable', path),
      );
      await queries.invalidateQueries({ queryKey: ['get', '/api/v1/organisations/{key}'] });
    } catch (error) {
      message.error(asProblem(error).message);
    }
  };
  const ask = () =>
    modal.confirm({
      title: t('organisations:disable.ask', { name: organisation.name }),
      content: t('organisations:disable.hint'),
      okText: t('organisations:disable'),
      okButtonProps: { danger: true },
      cancelText: t('organisations:cancel'),
      onOk: change,
    });
  return (
    <Space>
      {organisation.disabled ? (
        <Button onClick={() => void change()}>{t('organisations:enable')}</Button>
      ) : (
        <Button danger onClick={ask}>
          {t('organisations:disable')}
        </Button>
      )}
    </Space>
  );
}
