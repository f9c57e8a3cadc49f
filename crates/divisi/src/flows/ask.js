// `divisi ask`: one agent.
export const meta = {
  name: 'ask',
  description: 'One agent, with a text from stdin as its material',
};

const { prompt, material, schema, label } = args;

return agent(material ? `${prompt}\n\n${material}` : prompt, { label: label ?? 'ask', schema, required: true });
