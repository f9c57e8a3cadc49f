// Hierarchical decomposition: which modules matter is not known beforehand, so
// one agent finds that out, and its answer decides what the others do.
//
// A schema makes the answer a list that the script can go through; `maxItems`
// bounds what the audits may cost. `decompose()` does the same where even the
// kind of work is open: there the planner writes the tasks, too.
//
//   divisi run examples/top-five.js --max-cost 5
export const meta = {
  name: 'top-five',
  description: 'Finds the five most critical modules and audits each',
  phases: [{ title: 'Find' }, { title: 'Audit' }],
};

const MODULES = {
  type: 'object',
  properties: {
    modules: {
      type: 'array',
      minItems: 1,
      maxItems: 5,
      items: {
        type: 'object',
        properties: { path: { type: 'string' }, why: { type: 'string', description: 'Why it is critical' } },
        required: ['path', 'why'],
      },
    },
  },
  required: ['modules'],
};

phase('Find');
const { modules } = await agent(
  'Plan an audit of this repository: which five modules do most harm if they are wrong? Most critical first.',
  {
    label: 'find',
    kind: 'planning',
    model: 'opus',
    schema: MODULES,
    required: true,
    // What a plan is made with; without it three are assumed.
    expect: { modules: 5 },
  },
);

phase('Audit');
const audits = await parallel(
  modules.map(({ path, why }) => () =>
    agent(`Review ${path} for mistakes that lose money or data. It is critical because ${why}`, {
      label: path,
      kind: 'review',
      model: 'sonnet',
    }),
  ),
);

return modules.map(({ path }, index) => `## ${path}\n\n${audits[index] ?? '(no audit)'}`).join('\n\n');
