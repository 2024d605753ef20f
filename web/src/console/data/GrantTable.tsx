import { useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Flex, Popconfirm, Tag } from 'antd';
import { Link } from 'react-router';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment, useNow } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { useProjects } from '../project';
import type { Dataset } from './columns';

type Grant = Schemas['Grant'];

/** How a grant stands: at the owner's agent it is confirmed, before that it only lets one ask. */
export function standing(grant: Grant, now: number): 'revoked' | 'expired' | 'confirmed' | 'proposed' {
  if (grant.revoked) return 'revoked';
  if (grant.expires <= now) return 'expired';
  return grant.local ? 'confirmed' : 'proposed';
}

const COLOURS = {
  revoked: 'default',
  expired: 'default',
  confirmed: 'success',
  proposed: 'warning',
} as const;

/** Which projects may use a dataset, by the centre's copy of the owner's grants. */
export function GrantTable({ dataset, owns }: { dataset: Dataset; owns: boolean }) {
  const { t } = useTexts('data');
  const now = useNow();
  const queries = useQueryClient();
  const projects = useProjects().data?.items ?? [];
  const grants = api.useQuery('get', '/api/v1/grants', { params: { query: { limit: 200 } } });
  const revoke = api.useMutation('delete', '/api/v1/grants/{key}', {
    onSuccess: () => void queries.invalidateQueries({ queryKey: ['get', '/api/v1/grants'] }),
  });
  const named = (id: string) => projects.find((one) => one.id === id)?.name ?? id;
  const listed = (names: string[]) => (names.length ? names.join(', ') : t('data:any'));
  return (
    <Flex vertical gap="middle">
      <Alert type="info" title={t('data:grants.hint')} />
      {revoke.isError ? <Failed error={revoke.error} /> : null}
      <Answer query={grants}>
        {({ items }) => {
          const own = items.filter((one) => one.dataset === dataset.id);
          if (!own.length) {
            return <Empty title={t('data:grants.none')} next={t('data:grants.none.next')} />;
          }
          return (
            <WideTable<Grant>
              size="small"
              pagination={false}
              rowKey={(one) => one.id}
              dataSource={own}
              columns={[
                {
                  title: t('data:project'),
                  key: 'project',
                  render: (_, one) => (
                    <Link to={`/projects/${encodeURIComponent(one.project)}`}>
                      {named(one.project)}
                    </Link>
                  ),
                },
                {
                  title: t('data:columns'),
                  key: 'columns',
                  render: (_, one) => <div style={{ width: 320 }}>{listed(one.columns)}</div>,
                },
                {
                  title: t('data:purposes'),
                  key: 'purposes',
                  render: (_, one) => listed(one.purposes),
                },
                {
                  title: t('data:epsilon'),
                  key: 'epsilon',
                  align: 'right',
                  className: 'number',
                  render: (_, one) => one.terms?.epsilon ?? '',
                },
                {
                  title: t('data:state'),
                  key: 'state',
                  render: (_, one) => {
                    const state = standing(one, now);
                    return <Tag color={COLOURS[state]}>{t(`data:grant.${state}`)}</Tag>;
                  },
                },
                {
                  title: t('data:expires'),
                  key: 'expires',
                  render: (_, one) => <Moment at={one.expires} />,
                },
                {
                  title: t('data:deeds'),
                  key: 'deeds',
                  render: (_, one) =>
                    owns && !one.revoked ? (
                      <Popconfirm
                        title={t('data:revoke.ask')}
                        description={t('data:revoke.hint')}
                        okText={t('data:revoke')}
                        cancelText={t('data:cancel')}
                        onConfirm={() => revoke.mutate({ params: { path: { key: one.id } } })}
                      >
                        <Button type="link" danger size="small">
                          {t('data:revoke')}
                        </Button>
                      </Popconfirm>
                    ) : null,
                },
              ]}
            />
          );
        }}
      </Answer>
    </Flex>
  );
}
