// An audit: one agent per module, a second look at each finding, one report.
//
//   divisi run flows/audit.js --arg modules='["auth", "payment"]'
export const meta = {
  name: 'audit',
  description: 'Audits modules, checks each finding, and writes one report',
  phases: [{ title: 'Audit' }, { title: 'Check' }, { title: 'Report' }],
};

const modules = args?.modules ?? ['src'];

const FINDINGS = {
  type: 'object',
  properties: {
    findings: {
      type: 'array',
      maxItems: 5,
      items: {
        type: 'object',
        properties: {
          file: { type: 'string' },
          problem: { type: 'string', description: 'What is wrong, and what it leads to' },
        },
        required: ['file', 'problem'],
      },
    },
  },
  required: ['findings'],
};

// No module waits for another: its findings are checked while others are still read.
const audited = await pipeline(
  modules,
  (module) =>
    agent(`Read the code of ${module} and name its most serious problems, at most five.`, {
      label: `audit ${module}`,
      phase: 'Audit',
      kind: 'review',
      model: 'sonnet',
      schema: FINDINGS,
    }),
  ({ findings }, module) =>
    parallel(
      findings.map(({ file, problem }) => () =>
        agent(`Is this true of ${file}? Try to prove it wrong before you agree.\n\n${problem}`, {
          label: `check ${file}`,
          phase: 'Check',
          kind: 'review',
          model: 'sonnet',
        }),
      ),
    ).then((verdicts) => ({
      module,
      // A failed check must not count as one that found nothing.
      findings: findings.map((finding, index) => ({ ...finding, verdict: verdicts[index] ?? 'not checked' })),
    })),
);

phase('Report');
const named = Object.fromEntries(modules.map((module, index) => [module, audited[index]]));
return gather('Write one report: what to mend first, and why. Leave out what was proven wrong.', named, {
  model: 'opus',
});
