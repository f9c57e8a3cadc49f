// `divisi pipe`: each step receives the result of the previous one.
export const meta = {
  name: 'pipe',
  description: 'Steps one after the other, each with the result of the one before',
};

const { steps, models = [], material } = args;

// Without a `{}`, the result is appended.
const fill = (step, result) =>
  step.includes('{}') ? step.split('{}').join(result) : `${step}\n\nResult of the step before:\n\n${result}`;

const first = (step) => {
  if (!material) return step;
  return step.includes('{}') ? step.split('{}').join(material) : `${step}\n\n${material}`;
};

let result;
for (const [index, step] of steps.entries()) {
  const prompt = index === 0 ? first(step) : fill(step, result);
  const { status, value, reason } = await agent.outcome(prompt, {
    label: `${index + 1}. ${step}`,
    model: models[index],
  });
  if (status !== 'ok') throw new Error(`step ${index + 1} of ${steps.length} has no result: ${reason ?? status}`);
  result = value;
}
return result;
