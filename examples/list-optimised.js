// The list of `list-expensive.js`, done well: the cheapest model that suffices
// for each task, and independent tasks at the same time.
//
// The first two run at the same time. Only the design is on opus, where a
// weaker model would give a result that cannot be used.
//
//   divisi check examples/list-optimised.js
//   divisi run examples/list-optimised.js --max-cost 1
export const meta = {
  name: 'list-optimised',
  description: 'Finds, reads and formats on haiku, and designs on opus',
};

// A function given to parallel() that throws leaves `null`; Promise.all() ends the flow.
const [files, configs] = await Promise.all([
  agent('Find all source files that read or write sessions. Answer with their paths only.', {
    label: 'find files',
    kind: 'search',
    model: 'haiku',
    required: true,
  }),
  agent('Read the configuration files and say which of their values are about sessions.', {
    label: 'read configs',
    kind: 'read',
    model: 'haiku',
    required: true,
  }),
]);

const table = await agent(`Format this as a markdown table with a row for each file.\n\n${files}\n\n${configs}`, {
  label: 'format',
  kind: 'format',
  model: 'haiku',
  required: true,
});

return agent(`Design the architecture of a session store that several servers share. What there is now:\n\n${table}`, {
  label: 'design',
  kind: 'architecture',
  model: 'opus',
  required: true,
});
