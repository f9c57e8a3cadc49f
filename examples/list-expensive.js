// How not to do it: four tasks in a row, all on the strongest model.
//
// To find files, to read settings and to make a table of them is work that the
// cheapest model does as well; only the last task is worth its price. And the
// second waits for the first, whose result it does not read.
// `divisi check examples/list-expensive.js` reports all of that, in dollars.
// `list-optimised.js` is the same list, done well.
//
//   divisi check examples/list-expensive.js
export const meta = {
  name: 'list-expensive',
  description: 'Finds, reads, formats and designs, one after the other on opus',
};

const files = await agent('Find all source files that read or write sessions. Answer with their paths only.', {
  label: 'find files',
  kind: 'search',
  model: 'opus',
  required: true,
});

const configs = await agent('Read the configuration files and say which of their values are about sessions.', {
  label: 'read configs',
  kind: 'read',
  model: 'opus',
  required: true,
});

const table = await agent(`Format this as a markdown table with a row for each file.\n\n${files}\n\n${configs}`, {
  label: 'format',
  kind: 'format',
  model: 'opus',
  required: true,
});

return agent(`Design the architecture of a session store that several servers share. What there is now:\n\n${table}`, {
  label: 'design',
  kind: 'architecture',
  model: 'opus',
  required: true,
});
