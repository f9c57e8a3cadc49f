// `divisi decompose`: a planner divides the goal, workers do the parts.
export const meta = {
  name: 'decompose',
  description: 'A planner divides a goal into tasks, and workers carry them out',
};

const { goal, planner, worker, otherwise, max, synthesis, synthesisModel, approval } = args;

// The answer of a person, who may have edited the tasks.
const APPROVAL = {
  type: 'object',
  properties: { approved: { type: 'boolean' }, tasks: { type: 'array' } },
  required: ['approved'],
};

let isRefused = false;
const approved = async ({ tasks }) => {
  const line = ({ id, needs, prompt }) => `- ${id}${needs.length ? ` (after ${needs.join(', ')})` : ''}: ${prompt}`;
  const question = `Carry out this plan? Answer yes or no.\n\n${tasks.map(line).join('\n')}`;
  const answer = await agent(question, { executor: 'person', label: 'approval', phase: 'Plan', schema: APPROVAL });
  isRefused = !answer?.approved;
  return !isRefused && (answer.tasks ? { tasks: answer.tasks } : true);
};

const { plan, results, missing, synthesis: answer } = await decompose(goal, {
  planner: { model: planner, phase: 'Plan' },
  worker: { model: worker, otherwise, phase: 'Work' },
  max,
  approve: approval && approved,
  gather: synthesis && { prompt: synthesis, model: synthesisModel, phase: 'Gather' },
});
// Nothing was done, so this run must not look as if it had reached its goal.
if (isRefused) throw new Error('the plan was not approved, so none of its tasks ran');
if (synthesis && answer !== undefined) return answer;

const text = (result) => (typeof result === 'string' ? result : JSON.stringify(result, null, 2));
const section = ({ id, label }) => {
  const body = Object.hasOwn(missing, id) ? `(no result: ${missing[id]})` : text(results[id]);
  return `## ${label ?? id}\n\n${body}`;
};
return plan.tasks.map(section).join('\n\n');
