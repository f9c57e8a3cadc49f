// Reviews a Rust workspace: every crate at once, a second look at each finding,
// one plan.
//
//   divisi run flows/review.js                                  the crates of this repository
//   divisi run flows/review.js --arg crates='["crates/mine"]'   these crates
//   divisi run flows/review.js --arg crates=find                an agent looks which there are
export const meta = {
  name: 'review',
  description: 'Reviews every crate of a Rust workspace, checks each finding, and makes one plan',
  phases: [{ title: 'Find' }, { title: 'Review' }, { title: 'Check' }, { title: 'Plan' }],
};

const OURS = [
  'crates/divisi-core',
  'crates/divisi-script',
  'crates/divisi-providers',
  'crates/divisi-engine',
  'crates/divisi',
  'crates/divisi-mock',
  'crates/divisi-sim',
];

// Enough to act on; more from one reader are mostly taste.
const FINDINGS_MAX = 3;

const CRATES = {
  type: 'object',
  properties: { crates: { type: 'array', items: { type: 'string' }, description: 'Folders that hold a Cargo.toml' } },
  required: ['crates'],
};

const REVIEW = {
  type: 'object',
  properties: {
    findings: {
      type: 'array',
      maxItems: FINDINGS_MAX,
      items: {
        type: 'object',
        properties: {
          severity: { type: 'string', enum: ['high', 'medium', 'low'] },
          file: { type: 'string', description: 'Path and line' },
          problem: { type: 'string', description: 'What is wrong, and what it leads to' },
        },
        required: ['severity', 'file', 'problem'],
      },
    },
  },
  required: ['findings'],
};

const VERDICT = {
  type: 'object',
  properties: { holds: { type: 'boolean' }, why: { type: 'string' } },
  required: ['holds', 'why'],
};

const find = async () => {
  const prompt = 'Which crates does the Rust workspace in . have? Read its Cargo.toml, and answer with their folders.';
  const found = await agent(prompt, { label: 'find crates', phase: 'Find', model: 'haiku', schema: CRATES, required: true });
  return found.crates;
};

const review = (crate) =>
  agent(
    `Review the Rust crate in ${crate}. Look for wrong results, lost data, panics and races; leave style alone. ` +
      `Name its ${FINDINGS_MAX} most serious problems at most, and none that you have not seen in the code.`,
    { label: crate, phase: 'Review', model: 'sonnet', schema: REVIEW },
  );

const check = async (crate, finding) => {
  const prompt =
    `A reviewer of ${crate} says of ${finding.file}:\n\n${finding.problem}\n\n` +
    'Read the code and try to prove that wrong. Does it hold?';
  const label = `${crate}: ${finding.file}`;
  const verdict = await agent(prompt, { label, phase: 'Check', model: 'haiku', schema: VERDICT });
  return { ...finding, crate, holds: verdict?.holds ?? false };
};

const crates = args?.crates === 'find' ? await find() : (args?.crates ?? OURS);

// No crate waits for another: the findings of one are checked while others are still read.
const reviewed = await pipeline(crates, review, ({ findings }, crate) =>
  parallel(findings.map((finding) => () => check(crate, finding))),
);

phase('Plan');
const told = ({ severity, file, problem }) => `- ${severity}, ${file}: ${problem}`;
const holding = (checked) => checked.filter((finding) => finding?.holds);
const parts = crates.map((crate, index) => {
  const checked = reviewed[index];
  return [crate, checked && (holding(checked).map(told).join('\n') || 'nothing that held')];
});
const plan = await gather(
  'Make one plan from these reviews of the crates of a Rust workspace: what to mend first, and why.',
  Object.fromEntries(parts),
  { label: 'plan', model: 'opus' },
);

const row = (crate, index) => {
  const checked = reviewed[index];
  return checked ? `| ${crate} | ${checked.length} | ${holding(checked).length} |` : `| ${crate} | not reviewed | |`;
};
const confirmed = reviewed.filter(Boolean).flatMap(holding);
return [
  `# Review of ${crates.length} crates`,
  plan ?? '(There is no plan: the agent that makes it failed.)',
  ['| crate | findings | confirmed |', '|:--|--:|--:|', ...crates.map(row)].join('\n'),
  confirmed.map(({ severity, crate, file, problem }) => `- **${severity}** ${crate}, ${file}: ${problem}`).join('\n'),
]
  .filter(Boolean)
  .join('\n\n');
