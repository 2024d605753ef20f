import { Button, Card, Flex, Form, Input } from 'antd';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { useDeed } from '../settings/deeds';
import type { Job } from './useJob';
import { over } from './words';

type Question = Schemas['JobQuestion'];
const PATH = '/api/v1/jobs/{key}/questions';

/** What owners ask before they decide, and the answers, which they see. */
export function QuestionsTab({ job }: { job: Job }) {
  const { t } = useTexts('jobs');
  const query = api.useQuery('get', PATH, { params: { path: { key: job.id } } });
  return (
    <Answer
      query={query}
      empty={{
        when: ({ items }) => !items.length,
        show: <Empty title={t('jobs:questions.none')} next={t('jobs:questions.none.next')} />,
      }}
    >
      {({ items }) => (
        <Flex vertical gap="middle">
          {items.map((one) => (
            <Card
              key={`${one.organisation}/${one.number}`}
              size="small"
              title={one.organisation}
              extra={<Moment at={one.asked} />}
            >
              <p>{one.question}</p>
              {one.answer ? (
                <blockquote>{one.answer}</blockquote>
              ) : over(job.state) ? null : (
                <Answering job={job} question={one} />
              )}
            </Card>
          ))}
        </Flex>
      )}
    </Answer>
  );
}

function Answering({ job, question }: { job: Job; question: Question }) {
  const { t } = useTexts('jobs');
  const send = useDeed(
    (text: string) =>
      http.POST('/api/v1/jobs/{key}/answers', {
        params: { path: { key: job.id } },
        body: { text, organisation: question.organisation },
      }),
    PATH,
  );
  return (
    <Form<{ text: string }> layout="vertical" onFinish={({ text }) => send.mutate(text)}>
      <Form.Item
        name="text"
        label={t('jobs:answer')}
        extra={t('jobs:answer.hint')}
        rules={[{ required: true, message: t('jobs:answer.missing') }]}
      >
        <Input.TextArea rows={3} maxLength={4000} />
      </Form.Item>
      {send.isError ? <Failed error={send.error} /> : null}
      <Button type="primary" htmlType="submit" loading={send.isPending}>
        {t('jobs:answer.do')}
      </Button>
    </Form>
  );
}
