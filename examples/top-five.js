// Hierarchical decomposition: which modules matter is not known beforehand, so
// one agent finds that out, and its answer decides on the other tasks.
//
// A schema makes the answer a list that the script can loop over; `maxItems`
// bounds the cost of the audits. `decompose()` does the same if even the kind
// of work is open: there the planner also writes the tasks.
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
    // For plans; without it they assume three.
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
