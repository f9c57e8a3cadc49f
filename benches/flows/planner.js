export const meta = { name: 'planner', description: 'A planner, a planner for each of its parts, and workers' };

const schema = {
  type: 'object',
  properties: { parts: { type: 'array', items: { type: 'string' } } },
  required: ['parts'],
  additionalProperties: false,
};
const divide = async (what) => (await agent(`Divide ${what} into parts`, { schema })).parts;

const areas = await divide('the system');
const done = await parallel(
  areas.map((area) => async () => {
    const parts = await divide(`the area ${area}`);
    return parallel(parts.map((part) => () => agent(`Work on ${part} of ${area}`)));
  }),
);
return done.flat().filter(Boolean).length;
