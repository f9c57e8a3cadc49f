// Parallel fan-out: five modules that do not need each other, all at once.
//
// The run takes as long as its slowest task, not as long as all of them
// together. To describe a module is reading, and reading is work for haiku.
// A task that fails is `null` in the list and does not affect the others.
//
//   divisi run examples/fan-out.js --max-cost 1
export const meta = {
  name: 'fan-out',
  description: 'Says what each of five modules does, all at once',
};

const modules = args?.modules ?? ['auth', 'payment', 'user', 'product', 'order'];

const found = await parallel(
  modules.map((module) => () =>
    agent(`Read the ${module} module and say what it does, which other modules it uses, and who uses it.`, {
      label: module,
      kind: 'read',
      model: 'haiku',
    }),
  ),
);

return modules.map((module, index) => `## ${module}\n\n${found[index] ?? '(no answer)'}`).join('\n\n');
