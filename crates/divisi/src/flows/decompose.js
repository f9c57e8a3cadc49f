// `divisi decompose`: a planner divides the goal, workers do the parts.
export const meta = {
  name: 'decompose',
  description: 'A planner divides a goal into tasks, and workers carry them out',
};

const { goal, planner, worker, otherwise, max, synthesis, synthesisModel } = args;

const { plan, results, missing, synthesis: answer } = await decompose(goal, {
  planner: { model: planner, phase: 'Plan' },
  worker: { model: worker, otherwise, phase: 'Work' },
  max,
  gather: synthesis && { prompt: synthesis, model: synthesisModel, phase: 'Gather' },
});
if (synthesis) return answer;

const text = (result) => (typeof result === 'string' ? result : JSON.stringify(result, null, 2));
const section = ({ id, label }) => {
  const body = Object.hasOwn(missing, id) ? `(no result: ${missing[id]})` : text(results[id]);
  return `## ${label ?? id}\n\n${body}`;
};
return plan.tasks.map(section).join('\n\n');
