// `divisi map`: one task per item, all at once.
export const meta = {
  name: 'map',
  description: 'One task per item, all at once, and a synthesis if one is asked for',
  phases: [{ title: 'Map' }, { title: 'Gather' }],
};

const { prompt, items, label, schema, synthesis, synthesisModel } = args;

// `{}` stands for the item and `{name}` for its field of that name. Without any, the item is
// appended.
const fill = (template, text, fields = {}) => {
  let isFilled = false;
  const filled = template.replace(/\{([^{}]*)\}/g, (whole, name) => {
    if (name !== '' && !Object.hasOwn(fields, name)) return whole;
    isFilled = true;
    return name === '' ? text : fields[name];
  });
  return isFilled ? filled : `${template}\n\n${text}`;
};

phase('Map');
const outcomes = await parallel(
  items.map((item) => () =>
    agent.outcome(fill(prompt, item.text, item.fields), {
      label: label ? fill(label, item.name, item.fields) : item.name,
      inputs: item.inputs,
      schema,
    }),
  ),
);

if (synthesis) {
  phase('Gather');
  // Items may be equal, so each has its number.
  const parts = outcomes.map((outcome, index) => [`${index + 1}. ${items[index].name}`, outcome]);
  return gather(synthesis, new Map(parts), { model: synthesisModel });
}
if (schema) {
  return outcomes.map(({ value }, index) => ({ item: items[index].name, result: value }));
}
const section = ({ value, reason, status }, index) =>
  `## ${items[index].name}\n\n${value ?? `(no result: ${reason ?? status})`}`;
return outcomes.map(section).join('\n\n');
