// `divisi run plan.json`: carries out a plan as it is written.
export const meta = {
  name: 'plan',
  description: 'Carries out the tasks of a plan, each as soon as what it needs is there',
};

const { goal, tasks } = args;

const { plan, results, missing } = await decompose(goal ?? 'Carry out the plan', { plan: { tasks } });

// What nobody else has used is what the plan was made for.
const used = new Set(plan.tasks.flatMap(({ needs }) => needs));
const last = plan.tasks.map(({ id }) => id).filter((id) => !used.has(id));
if (last.length === 1) {
  const [id] = last;
  if (id in missing) throw new Error(`task \`${id}\`, the last of the plan, has no result: ${missing[id]}`);
  return results[id];
}
return Object.fromEntries(last.map((id) => [id, results[id]]));
