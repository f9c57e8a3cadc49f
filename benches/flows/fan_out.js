export const meta = { name: 'fan-out', description: 'As many tasks as its arguments say, all at once', maxAgents: 1_000_000 };

const items = Array.from({ length: args }, (_, i) => i);
const all = await Promise.all(items.map((i) => agent(`task ${i}`)));
return all.filter(Boolean).length;
