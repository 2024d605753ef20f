import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import type { Schemas } from '../api';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';
import css from './Request.module.css';

type Asked = Schemas['QuestionAsked'];

/** Questions to the submitter, and the answers as the centre tells them: nobody signed those. */
export function Questions({ questions }: { questions: readonly Asked[] }) {
  const { t } = useTexts('inbox');
  if (!questions.length) return null;
  return (
    <Section title={t('inbox:questions')}>
      <p className={parts['quiet']}>{t('inbox:questions.hint')}</p>
      <ol className={parts['lines']}>
        {questions.map((one) => (
          <li key={`${one.asked} ${one.question}`}>
            <p className={parts['text']}>{one.question}</p>
            <p className={parts['quiet']}>
              {one.person ? `${one.person} · ` : null}
              <Moment at={one.asked} />
            </p>
            <Answered asked={one} />
          </li>
        ))}
      </ol>
    </Section>
  );
}

function Answered({ asked }: { asked: Asked }) {
  const { t } = useTexts('inbox');
  if (!asked.answered) {
    return <p>{t(asked.told ? 'inbox:questions.open' : 'inbox:questions.untold')}</p>;
  }
  return (
    <>
      <blockquote className={css['answer']}>{asked.answer}</blockquote>
      <p className={parts['quiet']}>
        {t('inbox:questions.by', { by: asked.by || '?' })} · <Moment at={asked.answered} />
      </p>
    </>
  );
}
