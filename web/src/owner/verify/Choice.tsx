import { Typography } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Drop, FileField, SpecField } from '../../shared/verdict/Drop';

type Props = {
  file: File | null;
  take: (file: File | null) => void;
  spec: (digest: string) => void;
};

/** Which bundle is verified: dropped here or chosen; it never leaves this browser. */
export function Choice({ file, take, spec }: Props) {
  const { t } = useTexts('verifier');
  return (
    <Drop
      label={t('verifier:choose')}
      hint={t('verifier:drop')}
      dropped={([one]) => take(one ?? null)}
    >
      <FileField id="bundle" label={t('verifier:bundle')} chosen={(one) => take(one ?? null)} />
      {file ? <Typography.Text code>{file.name}</Typography.Text> : null}
      <p>
        <code>secureflow audit export JOB bundle.json</code>
      </p>
      <SpecField id="spec" label={t('verifier:spec')} said={spec} />
    </Drop>
  );
}
