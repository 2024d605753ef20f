/** The words of the offline page, in English and Chinese. */

import type { InputName, State } from '../checks';
import type { CheckId } from '../findings';
import type { Status } from '../verify';

export type Lang = 'en' | 'zh';
type Pair = readonly [en: string, zh: string];

/** Return the words of a pair in a language. */
export function say([en, zh]: Pair, lang: Lang): string {
  return lang === 'zh' ? zh : en;
}

export const PAGE = {
  title: ['SecureFlow: verify the record of a job', 'SecureFlow：验证任务记录'],
  lead: [
    'This page works without any network. It checks an audit bundle against the charter that you pinned, as `secureflow audit verify` does.',
    '本页不使用任何网络。它用您固定的章程检查审计包，与 secureflow audit verify 相同。',
  ],
  language: ['中文', 'English'],
  bundle: ['Audit bundle (secureflow audit export)', '审计包（secureflow audit export）'],
  charter: ['Your pinned charter (secureflow agent charter show)', '您固定的章程（secureflow agent charter show）'],
  more: ['More to compare with', '更多比对'],
  held: ['Leaves that you kept (optional)', '您保存的叶子（可选）'],
  report: ['Report of the job (secureflow job report JOB -o json; optional)', '任务的报告（secureflow job report JOB -o json；可选）'],
  spec: ['Digest of the spec that you approved (optional)', '您批准的规格的摘要（可选）'],
  output: ['A model or other result (optional)', '模型或其他结果（可选）'],
  drop: ['Choose files, or drop them anywhere on this page.', '选择文件，或将文件拖到本页任意处。'],
  words: ['Words of this charter', '此章程的指纹'],
  wordsHint: [
    'Compare them with those at your own agent: a charter that somebody sent you proves nothing.',
    '请与您自己的代理所显示的比对：别人发来的章程不能证明任何事。',
  ],
  working: ['Checking …', '检查中……'],
  nothing: ['No bundle is chosen yet.', '尚未选择审计包。'],
  noBundle: ['This file is not an audit bundle.', '此文件不是审计包。'],
  badSpec: ['The digest of a spec is 64 hex digits.', '规格摘要为 64 位十六进制数字。'],
  tooLarge: ['This file is too large for this page.', '此文件对本页而言过大。'],
  checks: ['Checks', '各项检查'],
  authors: ['How each author’s leaves end', '各作者叶子的结尾'],
  author: ['Author', '作者'],
  leaves: ['Leaves', '叶子'],
  ended: ['End', '结尾'],
  late: ['signed its end later, when it was back', '恢复后补签了结尾'],
  signed: ['signed its end', '已签署结尾'],
  word: ['the centre’s word', '仅协调中心之言'],
  heldLeaves: ['Leaves that you kept', '您保存的叶子'],
  gaps: ['Gaps of the log', '账本的间断'],
  anchored: ['What members anchored', '各成员所锚定的'],
  outputDigest: ['BLAKE3 of the file', '文件的 BLAKE3'],
  outputNamed: ['The record names this file as the job’s model.', '记录将此文件列为任务的模型。'],
  outputUnproved: [
    'A record names this file as the job’s model, but the record is not verified: that shows nothing.',
    '一份记录将此文件列为任务的模型，但该记录未通过验证：这不能说明任何事。',
  ],
  outputForeign: ['The record does not name this file as its model.', '记录未将此文件列为其模型。'],
  limits: ['What this does not prove', '这不能证明什么'],
  limit1: [
    'That this page is genuine: compare its SHA-256 with the one that a build you trust printed.',
    '本页是真的：请将其 SHA-256 与您信任的构建所打印的比对。',
  ],
  limit2: [
    'That the charter is the right one: only the comparison of its words with the other members does.',
    '章程是对的：只有与其他成员比对其指纹才能证明。',
  ],
  limit3: [
    'That the bundle is about the job that you mean: give the digest of the spec that you approved.',
    '审计包讲的是您所指的任务：请给出您批准的规格的摘要。',
  ],
  limit4: [
    'That what members signed is true, or that an accusation is right: it shows who signed what, and when it was in the log.',
    '成员所签内容属实，或指控正确：它只表明谁签了什么，以及何时已在账本中。',
  ],
  limit6: [
    'That a chain holds an anchor that is “not checked”: give `secureflow audit verify` your own node of it (--anchor-node).',
    '链上确有标为“未检查”的锚定：请为 secureflow audit verify 给出您自己的链节点（--anchor-node）。',
  ],
  limit5: [
    'What happened outside the log, or what a party did for which there is only the centre’s word.',
    '账本之外发生的事，或仅有协调中心之言的一方做过的事。',
  ],
} as const satisfies Record<string, Pair>;

export const STATUS: Record<Status, Pair> = {
  verified: ['Verified', '验证通过'],
  unfinished: ['Unfinished: something is missing', '未完结：有所缺失'],
  broken: ['Broken: something contradicts', '损坏：存在矛盾'],
  'consistent, unauthenticated': [
    'Consistent, unauthenticated: without your charter a forger can achieve this too',
    '一致但未认证：没有您的章程，伪造者也能做到',
  ],
};

export const STATE: Record<State, Pair> = {
  passed: ['holds', '成立'],
  failed: ['contradicts', '矛盾'],
  missing: ['missing', '缺失'],
  skipped: ['not checked', '未检查'],
};

export const CHECK: Record<CheckId, Pair> = {
  format: ['The file is a well-formed bundle', '文件是格式正确的审计包'],
  job: ['The entries are of this job and its roster', '条目属于此任务及其名单'],
  spec: ['Every leaf of the job binds the spec', '任务的每片叶子都绑定规格'],
  charter: ['The bundle’s charter follows from yours', '审计包的章程承接您的章程'],
  order: ['The entries are in order and of this log', '条目有序且属于此账本'],
  inclusion: ['Each entry is in the tree under the head', '每个条目都在账本头之下的树中'],
  documents: ['Each document opens its commitment', '每份文档都能打开其承诺'],
  chains: ['Each author’s leaves form an unbroken chain', '各作者的叶子构成不断的链'],
  approvals: ['Each party approved before it took part', '各方先批准后参与'],
  ends: ['Every end is there and its counts match', '各结尾齐全且计数相符'],
  report: ['The report compares models as the record says', '报告对模型的比较与记录相符'],
  held: ['The leaves that you kept are in it', '您保存的叶子都在其中'],
  endedKey: ['No log key signs after its end', '没有账本密钥在终止后签名'],
  signatures: ['Each leaf is signed by its author', '每片叶子由其作者签名'],
  head: ['The head is signed by the charter’s log', '账本头由章程中的账本签名'],
  roster: ['The roster is of members with these keys', '名单为持这些密钥的成员'],
  cosignatures: ['A quorum of the roster cosigned the head', '名单的法定多数联署了账本头'],
  accusations: ['Every accusation comes with its document', '每项指控都附有文档'],
  anchors: ['No statement about an anchor is refuted by what it holds', '没有锚定声明被其内容推翻'],
};

export const INPUT: Record<InputName, Pair> = {
  entries: ['entries', '条目'],
  job: ['job', '任务'],
  roster: ['roster', '名单'],
  spec: ['spec', '规格'],
  charter: ['charter', '章程'],
  charterVersion: ['version', '版本'],
  madeUnder: ['made under', '制作时的章程'],
  origin: ['log', '账本'],
  size: ['size', '大小'],
  root: ['root', '根'],
  documents: ['documents', '文档'],
  authors: ['authors', '作者'],
  outcome: ['outcome', '结局'],
  signedEnds: ['ends signed (leaves)', '已签结尾（叶子数）'],
  logKey: ['log key', '账本密钥'],
  cosigners: ['cosigned by', '联署方'],
  quorum: ['needed', '需要'],
  leaves: ['leaves', '叶子'],
  accusations: ['accusations', '指控'],
  gaps: ['gaps', '间断'],
  members: ['members', '成员'],
  anchors: ['statements', '声明'],
  anchoredAt: ['places', '锚定处'],
};

/** What only this verifier says; the other reasons are in the catalogue of the Python one. */
export const OWN: Readonly<Record<string, string>> = {
  'character {place}: {what}': '第 {place} 个字符：{what}',
  'it is not UTF-8': '它不是 UTF-8',
  'something follows the value': '值之后还有内容',
  'it is nested too deeply': '嵌套过深',
  'a name in quotes is missing': '缺少带引号的名称',
  'an object has a duplicate key': '对象中有重复的键',
  'a colon is missing': '缺少冒号',
  'a comma is missing': '缺少逗号',
  'a string does not end, or has a control character': '字符串未结束，或含控制字符',
  'an escape in a string is none of JSON': '字符串中的转义不属于 JSON',
  'a value is missing': '缺少值',
  'a number is beyond every double': '数字超出双精度范围',
  'a text has half a surrogate pair': '文本含半个代理对',
  'This browser cannot check Ed25519 signatures.': '此浏览器不能检查 Ed25519 签名。',
};
