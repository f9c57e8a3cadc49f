// `divisi run plan.yaml`: each task as soon as all it needs is there.
export const meta = {
  name: 'plan',
  description: 'The tasks of a plan, each as soon as what it needs is there',
  phases: [],
};

const { tasks, gather: synthesis } = args;
const byId = new Map(tasks.map((task) => [task.id, task]));

const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

// What stands between the braces is an id, which the plan was checked for.
const render = (prompt, results) =>
  prompt.replace(/\{\{\s*([\w-]+)\s*\}\}/g, (written, id) => (results.has(id) ? text(results.get(id)) : written));

const skip = (id, reason) => {
  log(`task \`${id}\` is skipped: ${reason}`);
  return { status: 'skipped', value: null, reason, model: null, attempts: 0, cost: 0 };
};

const run = async ({ id, needs, prompt, label = id, approve: question, ...options }) => {
  // A long chain of tasks must not become as deep a stack.
  await null;
  const results = new Map();
  for (const need of needs) {
    const { status, value } = await start(need);
    if (status !== 'ok') return skip(id, `it needs \`${need}\`, which has no result`);
    if (value === false && byId.get(need).approve) {
      approve.refused(need);
      return skip(id, `\`${need}\` was not approved`);
    }
    results.set(need, value);
  }
  if (question) {
    const { question: asked, show, ...answers } = question;
    if (show) answers.show = render(show, results);
    return approve.outcome(render(asked, results), { label, ...options, ...answers });
  }
  return agent.outcome(render(prompt, results), { label, ...options });
};

const started = new Map();
const start = (id) => {
  if (!started.has(id)) started.set(id, run(byId.get(id)));
  return started.get(id);
};

const outcomes = await Promise.all(tasks.map(({ id }) => start(id)));

if (synthesis) {
  const { prompt, ...options } = synthesis;
  const parts = tasks.map(({ id, label = id }, index) => [label === id ? id : `${id}: ${label}`, outcomes[index]]);
  return gather(prompt, new Map(parts), options);
}

// What no other task has read is what the plan was for.
const needed = new Set(tasks.flatMap(({ needs }) => needs));
const last = tasks.map((task, index) => ({ ...task, ...outcomes[index] })).filter(({ id }) => !needed.has(id));
if (last.length === 1) {
  const [{ id, status, value, reason }] = last;
  if (status !== 'ok') throw new Error(`the last task, \`${id}\`, has no result: ${reason ?? status}`);
  return value;
}
const section = ({ id, label = id, status, value, reason }) =>
  `## ${label}\n\n${status === 'ok' ? text(value) : `(no result: ${reason ?? status})`}`;
return last.map(section).join('\n\n');
